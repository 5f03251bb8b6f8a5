//! Where the dialled number stands (AUT-09): R-URI, P-Called-Party-ID, To, History-Info, Diversion, another header.

/// One place of the ordered list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialledFrom {
    RequestUri,
    PCalledPartyId,
    To,
    HistoryInfo,
    Diversion,
    Header(String),
}
