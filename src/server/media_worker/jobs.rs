//! What a call has run outside its worker: opening the WebSocket, HTTP tools. Owned by the worker: a job that is no
//! longer wanted is aborted, and all are when the worker goes.

use crate::net::websocket::RealtimeSocket;
use crate::net::websocket::connect::{Target, connect};
use crate::realtime::session::SessionFault;
use crate::sip::user_agent::SessionId;
use crate::tools::ToolAction;
use crate::tools::http::{HttpRunner, ToolResult};
use std::collections::HashMap;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, Id, JoinSet};

/// Whose job it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKey {
    /// The `attempt`-th WebSocket of the call.
    Open {
        session: SessionId,
        attempt: u32,
    },
    Tool {
        session: SessionId,
        id: u64,
    },
}

/// What came of it.
#[derive(Debug)]
pub enum JobResult {
    Opened(Result<RealtimeSocket, SessionFault>),
    Tool(ToolResult),
}

pub struct Jobs {
    set: JoinSet<JobResult>,
    keys: HashMap<Id, JobKey>,
    runtime: Handle,
    tools: HttpRunner,
}

impl Jobs {
    pub fn new(runtime: Handle, tools: HttpRunner) -> Jobs {
        Jobs { set: JoinSet::new(), keys: HashMap::new(), runtime, tools }
    }

    pub fn open(&mut self, session: SessionId, attempt: u32, target: Target) -> AbortHandle {
        self.start(JobKey::Open { session, attempt }, async move { JobResult::Opened(connect(target).await) })
    }

    pub fn tool(&mut self, session: SessionId, id: u64, action: ToolAction, timeout: Duration) -> AbortHandle {
        let runner = self.tools.clone();
        self.start(JobKey::Tool { session, id }, async move {
            let ToolAction::Http(request) = action else {
                return JobResult::Tool(failed("this tool does not run here"));
            };
            let result = tokio::time::timeout(timeout, runner.run(request)).await;
            JobResult::Tool(result.unwrap_or_else(|_| failed("no answer in time")))
        })
    }

    fn start(&mut self, key: JobKey, job: impl Future<Output = JobResult> + Send + 'static) -> AbortHandle {
        let handle = self.set.spawn_on(job, &self.runtime);
        self.keys.insert(handle.id(), key);
        handle
    }

    /// The next finished job. Aborted ones are passed over; a panicked one has failed.
    pub fn finished(&mut self) -> Option<(JobKey, JobResult)> {
        while let Some(joined) = self.set.try_join_next_with_id() {
            match joined {
                Ok((id, result)) => {
                    if let Some(key) = self.keys.remove(&id) {
                        return Some((key, result));
                    }
                }
                Err(error) => {
                    let key = self.keys.remove(&error.id());
                    if let (Some(key), true) = (key, error.is_panic()) {
                        return Some((key, panicked(key)));
                    }
                }
            }
        }
        None
    }

    pub fn len(&self) -> usize {
        self.set.len()
    }
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }
}

fn failed(why: &str) -> ToolResult {
    ToolResult { ok: false, output: format!("{{\"error\":\"{why}\"}}") }
}

fn panicked(key: JobKey) -> JobResult {
    match key {
        JobKey::Open { .. } => JobResult::Opened(Err(SessionFault::Connect("internal error".into()))),
        JobKey::Tool { .. } => JobResult::Tool(failed("internal error")),
    }
}
