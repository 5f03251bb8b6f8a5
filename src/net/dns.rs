//! DNS for SIP: the door of hickory-resolver. What to ask and what to make of it is `sip::resolve`'s.
