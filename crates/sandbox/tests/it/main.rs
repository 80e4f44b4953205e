//! The sandbox from outside: real processes, real bubblewrap.
//!
//! The program that runs inside is this test binary, executed again: see [`plays_the_helper`].

#![expect(clippy::disallowed_methods, reason = "these tests measure how long real processes take")]

mod bash;
mod control;
mod escape;
mod files;
mod hold;
mod life;
mod probes;
mod search;
mod world;

/// Arguments that make this binary run only [`plays_the_helper`], on its main thread.
const HELPER_ARGS: [&str; 4] = ["plays_the_helper", "--exact", "--nocapture", "--test-threads=1"];

/// Not a test: what this binary does when it is executed inside a sandbox. Run as a test it does nothing.
#[test]
fn plays_the_helper() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "__toolbox") {
        let _ = daybreak_sandbox::toolbox::main();
        std::process::exit(0);
    }
    if let Some(at) = arguments.iter().position(|argument| argument == "__server") {
        life::serve_until_killed(&arguments[at + 1]);
    }
    if let Some(at) = arguments.iter().position(|argument| argument == "__probe") {
        probes::run(&arguments[at + 1..]);
    }
}
