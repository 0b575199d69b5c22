//! The wrapper: `bunraku agent exec-run DIR`. It leaves the agent's session, claims the run, starts the work with its
//! outputs in files, waits for it and writes the exit code last. It talks to nobody and knows nothing of PXP.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate};

use super::orphans::Children;
use super::proc_table::ProcessId;
use super::{CHILD, EXIT_CODE, RunFile, STDERR, STDOUT, uncounted};
use crate::agent::files::{self, SHARED, write_atomic};
use crate::agent::spool::PID;

/// What a shell gives for a command that is not found.
const NOT_FOUND: i64 = 127;
/// What a shell gives for a command that cannot be executed.
const NOT_EXECUTABLE: i64 = 126;
/// What a shell adds to the number of the signal that ended a process.
const SIGNAL_BASE: i64 = 128;
/// How long to wait before another try to write the exit code.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How much of an output is given up at a time where the disk has no room for the exit code.
const ROOM: u64 = 64 * 1024;
/// How often the size of the outputs is looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// Runs what `directory/run.json` says, at most once per directory. Success means that the exit code of the work, or
/// of its failure to start, is recorded.
pub(in crate::agent) fn exec_run(directory: &Path) -> ExitCode {
    match run(directory) {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody reads our own outputs; the missing exit code tells the agent.
        Err(_) => ExitCode::FAILURE,
    }
}

fn run(directory: &Path) -> io::Result<()> {
    // Fails for a leader of a process group, which the agent never makes us, but a shell might.
    let _ = rustix::process::setsid();
    let own = ProcessId::of(std::process::id()).ok_or(io::ErrorKind::NotFound)?;
    if !files::claim(&directory.join(PID), &own.record())? {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let (order, input) = RunFile::take(directory)?;
    let stdout = create_output(&directory.join(STDOUT))?;
    let mut stderr = create_output(&directory.join(STDERR))?;
    let full = AtomicBool::new(false);
    let exit_code = match spawn(&order, input, stdout.try_clone()?, stderr.try_clone()?) {
        Ok(mut child) => {
            let work = ProcessId::of(child.id());
            if let Some(process) = work {
                // Without this record a cancel still finds the work below our own process. Leaving now would abandon it.
                let _ = write_atomic(&directory.join(CHILD), process.record().as_bytes(), SHARED);
            }
            let outputs = [(STDOUT, stdout.try_clone()?), (STDERR, stderr.try_clone()?)];
            let children = Children::of(work.filter(|_| order.ends_children));
            let (status, children) = wait(&mut child, directory, order.output_limit, &outputs, &full, children)?;
            // A full disk must not cost the exit code as well.
            let _ = tell_signal(status, children, &mut stderr);
            exit_code(status)
        }
        Err(error) => {
            writeln!(stderr, "bunraku: cannot execute {}: {error}", order.program.display())?;
            if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE }
        }
    };
    // Fails on a full disk, as what was written before did.
    let synced = stderr.sync_all().and_then(|()| stdout.sync_all());
    if is_full(&stdout) || synced.is_err() {
        full.store(true, Ordering::Relaxed);
    }
    if full.into_inner() {
        // The work may have been unable to write more. Said before the exit code: with that the run is over.
        for (name, output) in [(STDOUT, &stdout), (STDERR, &stderr)] {
            until_written(|| write_atomic(&directory.join(uncounted(name)), b"", SHARED), output);
        }
    }
    let exit_code = format!("{exit_code}\n");
    until_written(|| write_atomic(&directory.join(EXIT_CODE), exit_code.as_bytes(), SHARED), &stdout);
    Ok(())
}

/// Whether the file system of this file has no room for what anybody writes.
fn is_full(file: &File) -> bool {
    // What is kept back for root is of use to root alone. One without blocks does not count them.
    let free = |found: &rustix::fs::StatVfs| {
        if rustix::process::geteuid().is_root() { found.f_bfree } else { found.f_bavail }
    };
    rustix::fs::fstatvfs(file).is_ok_and(|found| found.f_blocks > 0 && free(&found) == 0)
}

/// Tries until it succeeds: the exit code is all that tells how the run ended, and a full disk is freed some day. The
/// agent takes the run for running meanwhile, which is the truth as far as anybody can know it. Where the run's own output
/// fills the disk, the end of that makes room.
fn until_written(mut write: impl FnMut() -> io::Result<()>, output: &File) {
    while let Err(error) = write() {
        if error.kind() == io::ErrorKind::NotFound {
            // The run's directory is gone, and with it everyone who could ask.
            return;
        }
        if error.kind() == io::ErrorKind::StorageFull && make_room(output).is_ok_and(|made| made) {
            continue;
        }
        std::thread::park_timeout(RETRY_INTERVAL);
    }
}

/// Gives up the end of an output; `false` when nothing is left of it.
fn make_room(output: &File) -> io::Result<bool> {
    let written = output.metadata()?.len();
    output.set_len(written.saturating_sub(ROOM))?;
    Ok(written > 0)
}

fn create_output(path: &Path) -> io::Result<File> {
    // Appending: what is written after a cut lands at the new end.
    OpenOptions::new().append(true).create(true).mode(SHARED).open(path)
}

fn spawn(order: &RunFile, input: Option<File>, stdout: File, stderr: File) -> io::Result<Child> {
    let mut command = Command::new(&order.program);
    command.args(&order.args).stdout(stdout).stderr(stderr).current_dir("/");
    command.stdin(input.map_or_else(Stdio::null, Stdio::from));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| order.removes(name)) {
            command.env_remove(name);
        }
    }
    command.envs(&order.env).spawn()
}

/// Waits for the work while another thread keeps its outputs from filling the disk, and looks at its children.
fn wait(
    child: &mut Child,
    directory: &Path,
    limit: u64,
    outputs: &[(&str, File)],
    full: &AtomicBool,
    mut children: Children,
) -> io::Result<(ExitStatus, Children)> {
    std::thread::scope(|scope| {
        let (ended, watch) = mpsc::channel::<()>();
        let watcher = scope.spawn(move || {
            while watch.recv_timeout(WATCH_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                for (name, output) in outputs {
                    if is_full(output) {
                        full.store(true, Ordering::Relaxed);
                    }
                    // A failure leaves the output as it is; the next round tries again.
                    let _ = keep_small(output, limit, &directory.join(uncounted(name)));
                }
                children.look();
            }
            children
        });
        let status = child.wait();
        drop(ended);
        let children = watcher.join().map_err(|_| io::Error::other("the watch over the work broke down"))?;
        Ok((status?, children))
    })
}

/// Gives the disk back what an output holds far beyond its limit. Its length stays what was written, so that a reader can
/// tell how much is missing; where that cannot be, `uncounted` says so.
fn keep_small(output: &File, limit: u64, uncounted: &Path) -> io::Result<()> {
    let written = output.metadata()?.len();
    if written <= limit.saturating_mul(2) {
        return Ok(());
    }
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fallocate(output, hole, limit, written - limit).or_else(|_| shorten(output, limit, uncounted))
}

/// For file systems without holes. What is written meanwhile is lost without anybody knowing how much it was.
fn shorten(output: &File, limit: u64, uncounted: &Path) -> io::Result<()> {
    // Said first: a length that is too short must never pass for the whole one.
    write_atomic(uncounted, b"", SHARED)?;
    output.set_len(limit + 1)
}

/// Work that was killed left what it was waiting for; nobody waits for that any more.
fn tell_signal(status: ExitStatus, children: Children, stderr: &mut File) -> io::Result<()> {
    let Some(signal) = status.signal() else { return Ok(()) };
    let told = writeln!(stderr, "bunraku: killed by signal {signal}");
    match children.end() {
        Some(left) => told.and(writeln!(stderr, "bunraku: ended what it left running: {left}")),
        None => told,
    }
}

fn exit_code(status: ExitStatus) -> i64 {
    match (status.code(), status.signal()) {
        (Some(code), _) => i64::from(code),
        (None, Some(signal)) => SIGNAL_BASE + i64::from(signal),
        (None, None) => NOT_EXECUTABLE,
    }
}

/// The exit code of a run that is over.
pub(super) fn read_exit_code(directory: &Path) -> Option<i64> {
    fs::read_to_string(directory.join(EXIT_CODE)).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::collect_output;
    use super::*;

    fn order(script: &str) -> RunFile {
        RunFile {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: BTreeMap::from([("PT_a".to_owned(), "one".to_owned())]),
            env_remove: vec!["CARGO_*".into()],
            output_limit: 1000,
            ends_children: false,
        }
    }

    fn run_in(order: &RunFile, input: Option<&[u8]>) -> (tempfile::TempDir, io::Result<()>) {
        let directory = tempfile::tempdir().unwrap();
        order.write(directory.path(), input).unwrap();
        let result = run(directory.path());
        (directory, result)
    }

    fn text(directory: &tempfile::TempDir, name: &str) -> String {
        fs::read_to_string(directory.path().join(name)).unwrap()
    }

    #[test]
    fn input_environment_outputs_and_exit_code_pass_through() {
        let (directory, result) = run_in(&order("cat; echo $PT_a-$CARGO_PKG_NAME- >&2; exit 3"), Some(b"secret"));
        result.unwrap();
        assert_eq!(text(&directory, STDOUT), "secret");
        assert_eq!(text(&directory, STDERR), "one--\n");
        assert_eq!(read_exit_code(directory.path()), Some(3));
        assert!(!directory.path().join("input").exists() && !directory.path().join("run.json").exists());
    }

    #[test]
    fn an_output_far_beyond_its_limit_keeps_its_length_and_gives_up_its_blocks() {
        use std::os::unix::fs::MetadataExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(STDOUT);
        let mut output = create_output(&path).unwrap();
        output.write_all(&vec![b'x'; 1 << 20]).unwrap();
        output.sync_all().unwrap();
        let uncounted = directory.path().join(uncounted(STDOUT));
        keep_small(&output, 5_000, &uncounted).unwrap();
        output.write_all(b"more").unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(metadata.len(), (1 << 20) + 4);
        assert!(metadata.blocks() * 512 < 100_000, "{} blocks", metadata.blocks());
        assert!(fs::read(&path).unwrap()[..5_000].iter().all(|byte| *byte == b'x'));
        assert!(!uncounted.exists());
    }

    #[test]
    fn without_holes_an_output_is_shortened_and_that_is_said() {
        let (directory, result) = run_in(&order("printf 12345"), None);
        result.unwrap();
        let output = OpenOptions::new().append(true).open(directory.path().join(STDOUT)).unwrap();
        shorten(&output, 2, &directory.path().join(uncounted(STDOUT))).unwrap();
        let read = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (stdout, stderr) = read.block_on(collect_output(directory.path(), 2)).unwrap();
        assert_eq!(stdout, "12\n… [cut by bunraku: at least 3 bytes in all]\n");
        assert_eq!(stderr, "");
    }

    #[test]
    fn an_output_that_fills_the_disk_makes_room_for_the_exit_code() {
        let directory = tempfile::tempdir().unwrap();
        let mut output = create_output(&directory.path().join(STDOUT)).unwrap();
        output.write_all(&vec![b'x'; 300_000]).unwrap();
        let mut tries = 0;
        let full_twice = || {
            tries += 1;
            if tries < 3 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        };
        until_written(full_twice, &output);
        assert_eq!(output.metadata().unwrap().len(), 300_000 - 2 * ROOM);
        assert!(!is_full(&output), "the disk of the tests has room");
    }

    #[test]
    fn a_run_is_claimed_once() {
        let (directory, result) = run_in(&order("echo once"), None);
        result.unwrap();
        order("echo twice").write(directory.path(), None).unwrap();
        assert!(run(directory.path()).is_err());
        assert_eq!(text(&directory, STDOUT), "once\n");
    }

    #[test]
    fn signals_and_missing_programs_are_told() {
        let (directory, result) = run_in(&order("kill -9 $$"), None);
        result.unwrap();
        assert_eq!(read_exit_code(directory.path()), Some(137));
        assert_eq!(text(&directory, STDERR), "bunraku: killed by signal 9\n");
        let (directory, result) = run_in(&RunFile { program: "/no/such".into(), ..order("") }, None);
        result.unwrap();
        assert_eq!(read_exit_code(directory.path()), Some(NOT_FOUND));
        assert!(text(&directory, STDERR).contains("/no/such"));
    }
}
