//! `check` and `explain`: their texts, and the binary's exit codes.

use crate::world::{Files, MINIMAL, repository};
use std::process::{Command, Output};
use voxtrunk::cli::check;
use voxtrunk::cli::explain;

fn files(config: Option<std::path::PathBuf>, dialplans: std::path::PathBuf) -> check::Files {
    check::Files { config, dialplans: Some(dialplans) }
}

fn voxtrunk(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_voxtrunk"))
        .args(arguments)
        .env("VOXTRUNK_TEST_CANARY", "canary-77b1")
        .env_remove("VOXTRUNK_CONFIG")
        .current_dir(repository(""))
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn the_examples_of_the_repository_pass() {
    let report = check::report(&files(None, repository("dialplans"))).unwrap_or_else(|errors| panic!("{errors:#?}"));
    for expected in ["default.toml", "appointments.toml", "after-hours.toml", "all others", "+15550109*", "ok: "] {
        assert!(report.contains(expected), "{expected} is not in\n{report}");
    }
    assert!(!report.contains("warning"), "{report}");
    let example = files(Some(repository("voxtrunk.example.toml")), repository("dialplans"));
    assert!(check::report(&example).is_ok());
}

#[test]
fn problems_of_settings_and_dialplans_come_together() {
    let world = Files::new(&[
        ("v.toml", "[sip]\nlistn = \"x\"\n"),
        ("plan.toml", "numbers = [\"200\"]\nprovider = \"later\"\n"),
    ]);
    std::fs::create_dir(world.path("plans")).unwrap();
    std::fs::rename(world.path("plan.toml"), world.path("plans/plan.toml")).unwrap();
    let lines = world.lines(check::report(&files(Some(world.path("v.toml")), world.path("plans"))));
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines[0].starts_with("v.toml:2:1: sip.listn: unknown field"));
    assert!(lines.iter().any(|line| line.starts_with("plans/plan.toml: greeting: is missing")));
}

#[test]
fn warnings_tell_what_is_allowed_but_perhaps_not_meant() {
    let settings = "[[provider]]\nkind = \"openai\"\nmodel = \"m\"\nkey = \"env:VOXTRUNK_NOT_SET\"\ndialect = \"ga\"\n";
    let world = Files::new(&[("v.toml", settings)]);
    std::fs::create_dir(world.path("plans")).unwrap();
    let plan = format!("{MINIMAL}temperature = 0.8\nturn_detection = {{ create_response = false }}\n");
    std::fs::write(world.path("plans/a.toml"), plan).unwrap();
    let report = check::report(&files(Some(world.path("v.toml")), world.path("plans"))).unwrap();
    for expected in [
        "warning: provider \"openai\": key: environment variable VOXTRUNK_NOT_SET is not set",
        "a.toml: temperature: the ga dialect has no such setting",
        "a.toml: turn_detection.create_response: the agent will not answer",
        "a.toml: tool: there is none of kind \"hangup\"",
    ] {
        assert!(report.contains(expected), "{expected} is not in\n{report}");
    }
}

#[test]
fn an_apology_that_is_no_wav_file_is_a_problem() {
    let world = Files::new(&[
        ("a.toml", &format!("{MINIMAL}fallback = {{ action = \"apology\", wav = \"sorry.wav\" }}\n")),
        ("sorry.wav", "not a wav file"),
    ]);
    let lines = world.lines(check::report(&files(None, world.root().to_owned())));
    assert!(lines.len() == 1 && lines[0].starts_with("a.toml: fallback.wav: "), "{lines:?}");
}

#[test]
fn explain_shows_what_serves_a_number_and_what_the_model_is_given() {
    let settings =
        "[[provider]]\nkind = \"azure\"\nresource = \"res\"\ndeployment = \"dep\"\nkey = \"env:AZURE_KEY\"\n";
    let world = Files::new(&[("v.toml", settings)]);
    let at = files(Some(world.path("v.toml")), repository("dialplans"));
    let report = explain::report("15550100200", &at, false).unwrap().unwrap();
    for expected in [
        "15550100200 is served by",
        "appointments.toml: it lists +15550100200, which is this number written otherwise.",
        "wss://res.openai.azure.com/openai/v1/realtime?model=dep",
        "api-key: *** (from env:AZURE_KEY)",
        "when the Realtime session is ready",
        "silence 700 ms",
        "You book appointments for the workshop",
        "more lines; --full shows them",
        "\"required\":[\"day\",\"kind\"]",
        "GET http://127.0.0.1:8088/days/{day}/times",
        "REFER \"workshop\" to sip:202@pbx.example.com",
        "transfer to \"workshop\"",
    ] {
        assert!(report.contains(expected), "{expected} is not in\n{report}");
    }
    assert!(explain::report("15550100200", &at, true).unwrap().unwrap().contains("say goodbye and call `hangup`"));
    let default = explain::report("999", &at, false).unwrap().unwrap();
    assert!(default.contains("default.toml: no file lists the number or a prefix of it."), "{default}");
}

#[test]
fn exit_codes_are_as_documented() {
    let good = voxtrunk(&["check"]);
    assert_eq!(good.status.code(), Some(0), "{}", text(&good));
    let world = Files::new(&[("plan.toml", "numbers = 3\n")]);
    let directory = world.root().display().to_string();
    let bad = voxtrunk(&["check", "--dialplans", &directory]);
    assert_eq!(bad.status.code(), Some(2));
    assert!(text(&bad).contains("plan.toml:1:11: numbers: expected a list of strings"), "{}", text(&bad));
    assert!(text(&bad).ends_with("3 problems\n"), "{}", text(&bad));
    assert_eq!(voxtrunk(&["explain", "../x"]).status.code(), Some(1));
    assert_eq!(voxtrunk(&["explain", "200"]).status.code(), Some(0));
    assert_eq!(voxtrunk(&["chek"]).status.code(), Some(2));
    let help = voxtrunk(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for command in ["demo", "check", "explain", "serve", "call", "realtime-sim", "Exit codes:"] {
        assert!(text(&help).contains(command), "{command}\n{}", text(&help));
    }
}

/// A21, G11: the commands name where keys come from and never what they are.
#[test]
fn no_command_prints_a_key() {
    let world = Files::new(&[
        ("key", "canary-5c20\n"),
        ("v.toml", ""),
        (
            "a.toml",
            &format!(
                "{MINIMAL}[[tool]]\nkind = \"http\"\nname = \"t\"\ndescription = \"d\"\nurl = \"https://h.example/\"\n\
                 headers = {{ Authorization = \"Bearer env:VOXTRUNK_TEST_CANARY\" }}\n"
            ),
        ),
    ]);
    std::fs::create_dir(world.path("plans")).unwrap();
    std::fs::rename(world.path("a.toml"), world.path("plans/a.toml")).unwrap();
    let key = world.path("key");
    let settings = format!("[[provider]]\nkind = \"openai\"\nmodel = \"m\"\nkey = \"file:{}\"\n", key.display());
    std::fs::write(world.path("v.toml"), settings).unwrap();
    let (config, plans) = (world.path("v.toml").display().to_string(), world.path("plans").display().to_string());
    for command in [vec!["check"], vec!["explain", "200"]] {
        let arguments: Vec<&str> = command.into_iter().chain(["--config", &config, "--dialplans", &plans]).collect();
        let output = voxtrunk(&arguments);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        assert!(!text(&output).contains("canary-"), "{}", text(&output));
    }
    let explained = text(&voxtrunk(&["explain", "200", "--config", &config, "--dialplans", &plans]));
    assert!(explained.contains("Authorization: Bearer *** (from env:VOXTRUNK_TEST_CANARY)"), "{explained}");
}
