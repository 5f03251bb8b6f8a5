//! What a trunk is doing, as `/trunks` shows it and `voxtrunk trunks` reads it (TRN, AUT-05, S9).

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// One trunk, as of about a second ago.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrunkState {
    pub name: String,
    /// `static` or `register`.
    pub kind: String,
    pub registration: Option<RegistrationState>,
    pub targets: Vec<TargetState>,
    pub calls: usize,
    /// INVITEs refused since the start.
    pub refused: u64,
    /// What is wrong, and what to do.
    pub problem: Option<String>,
}

/// A registration of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationState {
    /// `registered`, `registering`, `failed`, `unregistered`.
    pub state: String,
    pub registrar: Option<String>,
    pub expires_in_secs: Option<u64>,
    /// Of the last REGISTER.
    pub last_status: Option<u16>,
    pub retry_in_secs: Option<u64>,
}

/// One address of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetState {
    pub uri: String,
    /// `None`: its name has not been resolved.
    pub address: Option<String>,
    /// `None`: never asked.
    pub up: Option<bool>,
    /// Of the last OPTIONS; 408 = no answer.
    pub last_status: Option<u16>,
    /// Since that answer.
    pub age_secs: Option<u64>,
}

/// Where the server writes the states and readers find them.
#[derive(Clone, Debug)]
pub struct TrunkBoard(watch::Sender<Vec<TrunkState>>);

impl Default for TrunkBoard {
    fn default() -> Self {
        TrunkBoard(watch::Sender::new(Vec::new()))
    }
}

impl TrunkBoard {
    pub fn write(&self, states: Vec<TrunkState>) {
        self.0.send_replace(states);
    }
    pub fn read(&self) -> Vec<TrunkState> {
        self.0.borrow().clone()
    }
    /// `{"trunks": [...]}`.
    pub fn json(&self) -> String {
        let page = Page { trunks: self.read() };
        // Nothing in it can fail to be written.
        serde_json::to_string_pretty(&page).unwrap_or_default()
    }
}

/// The body of `/trunks`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Page {
    pub trunks: Vec<TrunkState>,
}
