//! `bunraku completions` and `bunraku man`: what packages install beside the binary, made from the command tree itself.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::Cli;
use super::Context;
use super::error::CliError;
use super::exit::Exit;
use super::output::counted;
use super::output::keep;

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  bunraku completions bash > /usr/share/bash-completion/completions/bunraku
  bunraku completions zsh > /usr/local/share/zsh/site-functions/_bunraku
  bunraku completions fish > ~/.config/fish/completions/bunraku.fish";

const MAN_EXAMPLES: &str = "\
Example:
  bunraku man /usr/share/man/man1";

/// The name of the binary.
const NAME: &str = "bunraku";

/// Print the completions of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: KnownShell,
}

/// The shells that we have tried.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum KnownShell {
    Bash,
    Zsh,
    Fish,
}

/// Write the man pages, one for each command
#[derive(Debug, clap::Args)]
#[command(after_help = MAN_EXAMPLES)]
pub(crate) struct ManArgs {
    /// The directory; made where it is missing
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Carries out `bunraku completions`.
pub(crate) fn completions(args: &CompletionsArgs) -> Exit {
    let shell = match args.shell {
        KnownShell::Bash => Shell::Bash,
        KnownShell::Zsh => Shell::Zsh,
        KnownShell::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut script);
    keep(std::io::stdout().lock().write_all(&script));
    Exit::Done
}

/// Carries out `bunraku man`.
///
/// # Errors
/// When a page cannot be written.
pub(crate) fn man(args: &ManArgs, ctx: &Context) -> Result<Exit, CliError> {
    let failed =
        |path: &Path, error: &std::io::Error| CliError::Usage(format!("cannot write {}: {error}", path.display()));
    fs::create_dir_all(&args.dir).map_err(|error| failed(&args.dir, &error))?;
    let pages = pages();
    for (name, page) in &pages {
        let path = args.dir.join(name);
        fs::write(&path, page).map_err(|error| failed(&path, &error))?;
    }
    ctx.out.note(format!("{} in {}", counted(pages.len() as u64, "page", "pages"), args.dir.display()));
    Ok(Exit::Done)
}

/// The pages with their file names: one for each command that is shown in help.
fn pages() -> Vec<(String, Vec<u8>)> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    let mut open = vec![(NAME.to_owned(), root)];
    while let Some((name, command)) = open.pop() {
        for child in command.get_subcommands().filter(|child| !child.is_hide_set()) {
            open.push((format!("{name}-{}", child.get_name()), child.clone()));
        }
        let man = clap_mangen::Man::new(command.display_name(name.clone()))
            .title(name.to_uppercase())
            .source(concat!("bunraku ", env!("CARGO_PKG_VERSION")))
            .manual("bunraku");
        let mut page = Vec::new();
        man.render(&mut page).expect("nothing fails that is written to memory");
        pages.push((format!("{name}.1"), page));
    }
    pages.sort();
    pages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_that_shows_its_example() {
        let pages = pages();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["bunraku.1", "bunraku-job.1", "bunraku-job-run.1", "bunraku-schedule-task.1", "bunraku-why.1"] {
            assert!(names.contains(&name), "{name}: {names:?}");
        }
        assert!(names.iter().all(|name| !name.contains("help")), "{names:?}");
        for (name, page) in &pages {
            let text = String::from_utf8_lossy(page);
            assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{name}: {text}");
        }
        let run = String::from_utf8_lossy(&pages.iter().find(|(name, _)| name == "bunraku-job-run.1").unwrap().1)
            .into_owned();
        assert!(run.contains("allow\\-unreached") && run.contains("nodes.txt"), "{run}");
    }
}
