//! The program `daybreak`, and the program that it is inside its own sandboxes.

use daybreak_cli::Hooks;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Why before everything else: inside a sandbox there must be no thread and nothing to wait for.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == "__toolbox") {
        return daybreak_sandbox::toolbox::main();
    }
    daybreak_cli::main_with(Hooks::default())
}
