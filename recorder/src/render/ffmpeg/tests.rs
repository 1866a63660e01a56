//! A child that is missing, that stands still, that fails, that is not wanted any more.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::fs;

use super::*;

const SOON: Patience = Patience { first: Duration::from_millis(300), between: Duration::from_millis(300) };
const LATER: Patience = Patience { first: Duration::from_secs(60), between: Duration::from_secs(60) };

/// A program that is called ffmpeg.
fn impostor(script: &str) -> (tempfile::TempDir, Tools) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("ffmpeg");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::join_paths([folder.path(), Path::new("/usr/bin")]).unwrap();
    let mut tools = Tools { ffmpeg: program, leash: find("setpriv", &path), can_write: false };
    tools.leash = tools.leash.filter(|setpriv| succeeds(Command::new(setpriv).args(["--pdeathsig", "KILL", "true"])));
    (folder, tools)
}

fn run(tools: &Tools, folder: &Path, patience: Patience, told: &mut Vec<u64>) -> Result<(), RenderError> {
    tools.run("do it", (folder, &[]), patience, &mut |ms| told.push(ms), &AtomicBool::new(false))
}

#[test]
fn without_ffmpeg_it_is_said_what_to_do() {
    for path in ["", "/nowhere", "relative:."] {
        let found = Tools::find_in(OsStr::new(path));
        assert!(matches!(found, Err(RenderError::NotInstalled)), "{found:?}");
    }
    assert!(RenderError::NotInstalled.to_string().contains("apt-get install ffmpeg"));
}

#[test]
fn a_file_that_cannot_be_run_is_not_ffmpeg() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ffmpeg"), "text").unwrap();
    fs::create_dir(folder.path().join("more")).unwrap();
    fs::create_dir(folder.path().join("more/ffmpeg")).unwrap();
    let path = std::env::join_paths([folder.path().to_owned(), folder.path().join("more")]).unwrap();
    assert!(matches!(Tools::find_in(&path), Err(RenderError::NotInstalled)));
}

#[test]
fn an_ffmpeg_that_cannot_draw_text_is_used_without_names() {
    let (folder, _) = impostor("case \"$*\" in *drawtext*) exit 1;; esac");
    assert!(!Tools::find_in(folder.path().as_os_str()).unwrap().can_write);
    let (folder, _) = impostor("exit 0");
    assert!(Tools::find_in(folder.path().as_os_str()).unwrap().can_write);
}

#[test]
fn progress_is_told_as_it_moves() {
    let (folder, tools) = impostor(
        "echo frame=3\necho out_time_us=N/A\necho out_time_us=40000\necho out_time_us=90000\necho out_time_us=90000",
    );
    let mut told = Vec::new();
    run(&tools, folder.path(), LATER, &mut told).unwrap();
    // The end may be seen before the last report.
    assert!([40, 90].starts_with(&told), "{told:?}");
}

#[test]
fn a_child_that_stands_still_is_ended() {
    for script in ["exec sleep 600", "while :; do echo out_time_us=80000; sleep 0.1; done", "exec >&-; exec sleep 600"]
    {
        let (folder, tools) = impostor(&format!("echo $$ > {{}}\n{script}").replace("{}", "pid"));
        let ended = run(&tools, folder.path(), SOON, &mut Vec::new());
        assert!(matches!(ended, Err(RenderError::Stalled { .. })), "{script}: {ended:?}");
        let pid = fs::read_to_string(folder.path().join("pid")).unwrap();
        assert!(!Path::new("/proc").join(pid.trim()).exists(), "{script}: it is gone");
    }
}

#[test]
fn a_failure_is_told_without_what_ffmpeg_said() {
    let (folder, tools) = impostor("echo /secret/path: broken >&2; exit 3");
    let ended = run(&tools, folder.path(), LATER, &mut Vec::new()).unwrap_err();
    assert_eq!(ended.to_string(), "ffmpeg could not do it; the server's log has its last words");
}

#[test]
fn the_last_words_are_kept_however_much_is_said() {
    let said = "a line\n".repeat(100_000) + "the end";
    let kept = last_words(Some(said.as_bytes()));
    assert!(kept.ends_with("the end") && kept.len() <= LAST_WORDS_BYTES);
    // And a child that says much does not hang.
    let (folder, tools) = impostor("i=0; while [ $i -lt 20000 ]; do echo $i >&2; i=$((i+1)); done");
    run(&tools, folder.path(), LATER, &mut Vec::new()).unwrap();
}

#[test]
fn a_cancelled_child_is_gone() {
    let (folder, tools) = impostor("echo $$ > pid; echo out_time_us=1000; exec sleep 600");
    let cancelled = AtomicBool::new(false);
    let ended =
        tools.run("do it", (folder.path(), &[]), LATER, &mut |_| cancelled.store(true, Ordering::Relaxed), &cancelled);
    assert!(matches!(ended, Err(RenderError::Cancelled)), "{ended:?}");
    let pid = fs::read_to_string(folder.path().join("pid")).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists());
}
