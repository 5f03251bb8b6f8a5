//! The layer rule of ARCHITECTURE.md, held on the text of the sources beside clippy.toml: pure modules stay pure, one file is a
//! crate's door, files stay small, nothing is unbounded.

use std::path::{Path, PathBuf};

/// Protocol code: no async, no sockets, no clock, no tasks.
const PURE: [&str; 11] = [
    "base64.rs",
    "cidr.rs",
    "codec.rs",
    "srtp_key.rs",
    "sip/",
    "trunk/",
    "rtp/",
    "audio/",
    "realtime/",
    "call/",
    "tools/policy",
];
const NOT_PURE: [&str; 9] = [
    "tokio::",
    "async fn",
    ".await;",
    ".await?",
    "UdpSocket",
    "TcpStream",
    "SystemTime",
    "Instant::now",
    "std::thread",
];

/// Who may not know whom.
const APART: [(&str, &[&str]); 5] = [
    ("trunk/", &["crate::audio", "crate::realtime", "crate::call", "crate::net", "crate::server", "crate::config"]),
    ("sip/", &["crate::rtp", "crate::audio", "crate::realtime", "crate::call", "crate::net", "crate::server"]),
    ("rtp/", &["crate::sip", "crate::realtime", "crate::call", "crate::net", "crate::server", "crate::config"]),
    ("audio/", &["crate::sip", "crate::rtp", "crate::realtime", "crate::call", "crate::net", "crate::server"]),
    ("realtime/", &["crate::sip", "crate::rtp", "crate::audio", "crate::call", "crate::net", "crate::server"]),
];

/// Crates and the files that may name them.
const DOORS: [(&str, &[&str]); 20] = [
    ("md5::", &["sip/digest/hash.rs"]),
    ("sha2::", &["sip/digest/hash.rs"]),
    ("hmac::", &["sip/digest/hash.rs", "rtp/srtp/cipher.rs"]),
    ("sha1::", &["rtp/srtp/cipher.rs"]),
    ("ring::aead", &["rtp/srtp/cipher.rs", "net/websocket/tls/record.rs"]),
    ("aes::Aes", &["rtp/srtp/cipher.rs"]),
    ("ctr::Ctr", &["rtp/srtp/cipher.rs"]),
    ("rtcp_types::", &["rtp/rtcp/packet.rs"]),
    ("tokio_rustls::", &["net/tls/server.rs", "net/tls/client.rs"]),
    ("webpki::", &["net/tls/certificate.rs"]),
    ("hickory_resolver::", &["net/dns.rs"]),
    ("rtp_rs::", &["rtp/packet.rs"]),
    ("rubato::", &["audio/resample.rs"]),
    ("audio_codec_algorithms::", &["audio/g711.rs"]),
    ("sdp_types::", &["sip/sdp.rs"]),
    ("hound::", &["audio/wav.rs"]),
    ("earshot::", &["realtime_sim/vad.rs"]),
    ("reqwest::", &["tools/http.rs"]),
    ("prometheus_client::", &["observe/metrics.rs"]),
    ("use config::", &["config/layers.rs"]),
];

/// Lines of a file, tests included.
const LONGEST: usize = 500;

/// Source files by their path below src/, with what stands before their tests.
fn sources() -> Vec<(String, String, usize)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let name = |file: &Path| file.strip_prefix(&root).expect("below src").to_string_lossy().replace('\\', "/");
    files
        .iter()
        .map(|file| {
            let text = std::fs::read_to_string(file).expect("a source file");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
            (name(file), code, text.lines().count())
        })
        .collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a folder of ours").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") && !is_test(&path) {
            files.push(path);
        }
    }
}

fn is_test(path: &Path) -> bool {
    path.iter().any(|part| part == "tests")
        || path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests"))
}

/// Lines of code, without comments, that contain a word.
fn uses<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    code.lines().map(str::trim).filter(move |line| !line.starts_with("//") && line.contains(word))
}

#[test]
fn pure_modules_are_pure() {
    for (file, code, _) in sources() {
        if PURE.iter().any(|pure| file.starts_with(pure)) {
            for word in NOT_PURE {
                assert_eq!(uses(&code, word).next(), None, "src/{file} is protocol code and names {word}");
            }
        }
    }
}

#[test]
fn layers_know_only_what_they_may() {
    for (file, code, _) in sources() {
        for (_, foreign) in APART.iter().filter(|(layer, _)| file.starts_with(layer)) {
            for module in *foreign {
                assert_eq!(uses(&code, module).next(), None, "src/{file} knows {module}");
            }
        }
        if file.starts_with("realtime_sim/") {
            assert_eq!(
                uses(&code, "crate::realtime::").next(),
                None,
                "the embedded server uses the client: src/{file}"
            );
        }
    }
}

#[test]
fn each_crate_has_its_door() {
    for (file, code, _) in sources() {
        for (word, doors) in DOORS {
            if !doors.contains(&file.as_str()) {
                assert_eq!(uses(&code, word).next(), None, "src/{file} names {word}, whose door is {doors:?}");
            }
        }
    }
}

/// A11: every map is hashed with the keys of the standard library; nothing names a hasher without a key, but for tags of our own
/// that hash a secret with them.
#[test]
fn maps_are_hashed_with_a_key() {
    for (file, code, _) in sources() {
        for word in ["with_hasher", "with_capacity_and_hasher", "BuildHasher", "FxHash", "ahash::", "fnv::", "IndexMap"]
        {
            assert_eq!(
                uses(&code, word).next(),
                None,
                "src/{file} names {word}: use the standard library's HashMap as it is"
            );
        }
    }
}

#[test]
fn queues_are_bounded_and_files_small() {
    for (file, code, lines) in sources() {
        for word in ["unbounded_channel", "unbounded()", "mpsc::channel()", "todo!(", "unimplemented!("] {
            assert_eq!(uses(&code, word).next(), None, "src/{file}: {word}");
        }
        assert!(lines <= LONGEST, "src/{file} has {lines} lines: split it by concern");
    }
}
