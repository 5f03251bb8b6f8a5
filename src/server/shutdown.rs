//! Drain and stop, each with a deadline that names what is left (OVL-04, P3).

use super::signalling::Request;
use super::{Counts, Server};
use crate::call::CallEnd;
use crate::call::end::Cause;
use crate::net::clock;
use crate::observe::cdr::EndedBy;
use std::time::Duration;
use tokio::time::{sleep_until, timeout};

/// From "end every call" to all of them ended: BYE, goodbye tone, records.
const CLOSE: Duration = Duration::from_secs(2);
/// For the answers to our BYEs, and to the REGISTERs that take registrations back.
const LAST_ANSWERS: Duration = Duration::from_millis(500);
const LAST_REGISTERS: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);
/// For threads and tasks, which have nothing left to do.
const JOIN: Duration = Duration::from_secs(2);

impl Server {
    /// Refuses new calls (503) from now on.
    pub async fn refuse_calls(&self) {
        self.health.set_draining();
        let _ = self.requests.send(Request::Drain).await;
        // A request behind it is answered after it: from here on no new call comes.
        let _ = self.counts().await;
    }

    /// Refuses new calls (503) and lets running ones end, up to `limit`; then ends them with BYE and Reason.
    /// Returns how many had to be ended.
    pub async fn drain(&self, limit: Duration) -> usize {
        self.refuse_calls().await;
        if self.wait_for_calls(limit).await {
            return 0;
        }
        let left = *self.calls.borrow();
        self.close_all().await;
        left
    }

    /// Ends every call, then every task and thread. Returns what was there at the end: all zero, or a leak.
    pub async fn stop(mut self) -> Counts {
        self.close_all().await;
        let asked = clock::now();
        let mut counts = self.counts().await;
        while counts.user_agent.sessions + counts.sockets + counts.jobs + counts.registrations > 0 {
            let limit = if counts.registrations > 0 { LAST_REGISTERS } else { LAST_ANSWERS };
            if clock::now() >= asked + limit {
                break;
            }
            sleep_until((clock::now() + POLL).into()).await;
            counts = self.counts().await;
        }
        let _ = self.requests.send(Request::Stop).await;
        let joined = timeout(JOIN, async { while self.tasks.join_next().await.is_some() {} }).await;
        if joined.is_err() {
            tracing::error!(tasks = self.tasks.len(), "tasks did not end in time and were dropped");
        }
        self.tasks.shutdown().await;
        self.services.shutdown().await;
        if let Some(sim) = self.sim.take() {
            sim.stop().await;
        }
        let threads = std::mem::take(&mut self.threads);
        let join = tokio::task::spawn_blocking(move || threads.into_iter().filter_map(|t| t.join().err()).count());
        match timeout(JOIN, join).await {
            Ok(Ok(0)) => {}
            Ok(_) => tracing::error!("a thread had panicked"),
            Err(_) => tracing::error!("a thread did not end in time"),
        }
        counts
    }

    async fn close_all(&self) {
        let end = CallEnd { by: EndedBy::Operator, cause: Cause::Shutdown };
        let _ = self.requests.send(Request::CloseAll(end)).await;
        let _ = self.counts().await;
        if !self.wait_for_calls(CLOSE).await {
            tracing::error!(calls = *self.calls.borrow(), "calls did not end in time");
        }
    }

    async fn wait_for_calls(&self, limit: Duration) -> bool {
        let mut calls = self.calls.clone();
        let gone = calls.wait_for(|n| *n == 0);
        matches!(timeout(limit, gone).await, Ok(Ok(_)))
    }
}
