//! One registration of ours (RFC 3261 §10.2, RFC 5626 §4.5, RFC 3327, RFC 3608): a pure machine in virtual time.
