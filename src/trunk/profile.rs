//! Ready-made trunks: what a carrier or PBX wants, as defaults that each field of `[[trunk]]` can override.
