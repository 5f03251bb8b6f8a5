//! Ordered rules: which trunk a request is of (AUT-01). No match: the request is dropped, whoever was dialled (A1).
