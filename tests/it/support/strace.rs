//! Tests that look at, or spoil, the calls of a process to the kernel.

use std::process::Command;

/// Whether there is an strace that may be used; where it must be there, its absence fails.
#[expect(clippy::print_stderr, reason = "a suite that is skipped says so")]
pub(crate) fn available() -> bool {
    let there = Command::new("strace").args(["-o", "/dev/null", "true"]).status().is_ok_and(|status| status.success());
    if !there {
        assert!(std::env::var_os("BUNRAKU_REQUIRE_ALL").is_none(), "strace is missing, or may not trace");
        eprintln!(
            "skipped: what the kernel is asked, and when, is only tested where strace is installed and may trace"
        );
    }
    there
}
