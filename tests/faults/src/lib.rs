//! Faults of the disk, below SQLite, and of the clock: loaded by `LD_PRELOAD` before a process, it spoils that process's calls
//! on the files of a database, and its wall clock, as a control file says, and hands on all others. For tests only; nothing
//! of the product uses it.
//!
//! `DISK_FAULTS` names the control file. It may change at any time; an absent or empty one spoils nothing. Each line is
//! one fault: `write`, `sync` or `read`, then the name of an error (`ENOSPC`, `EIO`, `EROFS`), or `short` for a write that
//! takes half of what it is given and finds the disk full with the rest; or `clock` and by how many seconds the wall clock is
//! wrong.

use std::ffi::{CStr, CString, OsString, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::OnceLock;

/// Files with this in their path are spoiled.
const DATABASE: &[u8] = b"bunraku.db";

/// Which kind of call.
#[derive(Clone, Copy)]
enum Call {
    Write,
    Sync,
    Read,
}

impl Call {
    fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Sync => "sync",
            Self::Read => "read",
        }
    }
}

/// What happens to it.
enum Fault {
    Error(c_int),
    Short,
}

/// The control file's path, read from the environment once.
fn control() -> Option<&'static CStr> {
    static CONTROL: OnceLock<Option<CString>> = OnceLock::new();
    let read = || {
        let path: OsString = std::env::var_os("DISK_FAULTS")?;
        CString::new(path.as_bytes()).ok()
    };
    CONTROL.get_or_init(read).as_deref()
}

/// The fault of a call on this file, if there is one now.
fn fault(call: Call, file: c_int) -> Option<Fault> {
    // Asked for first: most processes and most files are none of ours.
    if control().is_none() || !is_database(file) {
        return None;
    }
    match ordered(call.name())?.as_str() {
        "ENOSPC" => Some(Fault::Error(libc::ENOSPC)),
        "EIO" => Some(Fault::Error(libc::EIO)),
        "EROFS" => Some(Fault::Error(libc::EROFS)),
        "short" => Some(Fault::Short),
        _ => None,
    }
}

/// What the control file says of this word at present.
fn ordered(word: &str) -> Option<String> {
    let control = control()?;
    let mut text = [0_u8; 512];
    // SAFETY: the path is a C string, the buffer is as long as said; raw calls, so that ours are not called again.
    let length = unsafe {
        let opened =
            libc::syscall(libc::SYS_openat, libc::AT_FDCWD, control.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if opened < 0 {
            return None;
        }
        let length = libc::syscall(libc::SYS_read, opened, text.as_mut_ptr(), text.len());
        libc::syscall(libc::SYS_close, opened);
        usize::try_from(length).ok()?
    };
    let text = std::str::from_utf8(text.get(..length)?).ok()?;
    text.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(' ').map(str::to_owned))
}

fn is_database(file: c_int) -> bool {
    let Ok(link) = CString::new(format!("/proc/self/fd/{file}")) else { return false };
    let mut path = [0_u8; 1_024];
    // SAFETY: the path is a C string, the buffer is as long as said.
    let length = unsafe { libc::readlink(link.as_ptr(), path.as_mut_ptr().cast(), path.len()) };
    let Ok(length) = usize::try_from(length) else { return false };
    path[..length].windows(DATABASE.len()).any(|part| part == DATABASE)
}

/// Fails a call.
fn fail(error: c_int) -> isize {
    // SAFETY: the address of this thread's errno is always valid.
    unsafe { *libc::__errno_location() = error };
    -1
}

/// A result of a raw call, as libc gives it.
fn done(result: libc::c_long) -> isize {
    isize::try_from(result).unwrap_or(-1)
}

/// A write of `length` bytes by `real`, which writes as many as it is told.
fn write_with(file: c_int, length: usize, real: impl Fn(usize) -> libc::c_long) -> isize {
    match fault(Call::Write, file) {
        None => done(real(length)),
        Some(Fault::Error(error)) => fail(error),
        Some(Fault::Short) if length > 1 => done(real(length / 2)),
        Some(Fault::Short) => fail(libc::ENOSPC),
    }
}

/// # Safety
/// As `write(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(file: c_int, bytes: *const c_void, length: usize) -> isize {
    // SAFETY: handed on as given, or for fewer bytes.
    write_with(file, length, |length| unsafe { libc::syscall(libc::SYS_write, file, bytes, length) })
}

/// # Safety
/// As `pwrite(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite64(file: c_int, bytes: *const c_void, length: usize, at: i64) -> isize {
    // SAFETY: handed on as given, or for fewer bytes.
    write_with(file, length, |length| unsafe { libc::syscall(libc::SYS_pwrite64, file, bytes, length, at) })
}

/// # Safety
/// As `pwrite(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pwrite(file: c_int, bytes: *const c_void, length: usize, at: i64) -> isize {
    // SAFETY: as there.
    unsafe { pwrite64(file, bytes, length, at) }
}

/// # Safety
/// As `pread(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pread64(file: c_int, bytes: *mut c_void, length: usize, at: i64) -> isize {
    match fault(Call::Read, file) {
        Some(Fault::Error(error)) => fail(error),
        // SAFETY: handed on as given.
        Some(Fault::Short) | None => done(unsafe { libc::syscall(libc::SYS_pread64, file, bytes, length, at) }),
    }
}

/// # Safety
/// As `pread(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pread(file: c_int, bytes: *mut c_void, length: usize, at: i64) -> isize {
    // SAFETY: as there.
    unsafe { pread64(file, bytes, length, at) }
}

/// # Safety
/// As `read(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn read(file: c_int, bytes: *mut c_void, length: usize) -> isize {
    match fault(Call::Read, file) {
        Some(Fault::Error(error)) => fail(error),
        // SAFETY: handed on as given.
        Some(Fault::Short) | None => done(unsafe { libc::syscall(libc::SYS_read, file, bytes, length) }),
    }
}

fn sync_with(file: c_int, call: libc::c_long) -> c_int {
    let result = match fault(Call::Sync, file) {
        Some(Fault::Error(error)) => fail(error),
        // SAFETY: handed on as given.
        Some(Fault::Short) | None => done(unsafe { libc::syscall(call, file) }),
    };
    c_int::try_from(result).unwrap_or(-1)
}

/// # Safety
/// As `fdatasync(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fdatasync(file: c_int) -> c_int {
    sync_with(file, libc::SYS_fdatasync)
}

/// # Safety
/// As `fsync(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsync(file: c_int) -> c_int {
    sync_with(file, libc::SYS_fsync)
}

/// # Safety
/// As `clock_gettime(2)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> c_int {
    // SAFETY: handed on as given.
    let result = done(unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) });
    if result == 0
        && clock == libc::CLOCK_REALTIME
        && let Some(wrong) = ordered("clock").and_then(|seconds| seconds.parse::<i64>().ok())
    {
        // SAFETY: the call has filled it.
        unsafe { (*time).tv_sec += wrong };
    }
    c_int::try_from(result).unwrap_or(-1)
}
