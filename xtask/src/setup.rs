//! `cargo xtask setup`: makes sure of what the machine needs, and says what it does.
//!
//! Only apt-get is run for the user, and only with rights that are there already (root, or sudo without a
//! password). Everywhere else the exact command is printed and the person decides.

use crate::place::Place;
use crate::{Outcome, child};

/// What is prepared for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Building and running Daybreak.
    Run,
    /// Also the whole test suite.
    Test,
}

/// The command: `setup [--for test]`.
pub fn run(place: &Place, arguments: &[String]) -> Outcome {
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => ensure(place, Purpose::Run),
        ["--for", "test"] | ["--for=test"] => ensure(place, Purpose::Test),
        _ => Err("usage: cargo xtask setup [--for test]".to_owned()),
    }
}

/// Installs what is missing, or fails with the command that would. Silent when nothing is missing.
pub fn ensure(place: &Place, purpose: Purpose) -> Outcome {
    if !cfg!(target_os = "linux") {
        return Err("Daybreak runs tools in Linux namespaces (bubblewrap), so it needs Linux.".to_owned());
    }
    let missing = missing(place, purpose);
    if missing.is_empty() {
        return Ok(());
    }
    let Some(manager) = Manager::find(|program| place.which(program).is_some()) else {
        let names: Vec<&str> = missing.iter().map(|need| need.name()).collect();
        return Err(format!("please install {} and run the command again", names.join(", ")));
    };
    let install = manager.install(&missing);
    let prefix = match manager {
        Manager::Apt => rights(place).ok_or_else(|| ask(&install))?,
        _ => return Err(ask(&install)),
    };
    println!("installing {} with apt-get …", manager.packages(&missing).join(", "));
    let apt = |arguments: &[&str]| {
        let words = prefix.iter().copied().chain(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        let words: Vec<&str> = words.chain(arguments.iter().copied()).collect();
        let mut command = child::program(place, words[0]);
        command.args(&words[1..]);
        command
    };
    let packages = manager.packages(&missing);
    let arguments: Vec<&str> = ["install", "-y", "-q", "--no-install-recommends"].into_iter().chain(packages).collect();
    if child::run(&mut apt(&arguments)).is_ok() {
        return Ok(());
    }
    println!("that failed, perhaps because the package lists are missing or old: updating them with apt-get …");
    child::run(&mut apt(&["update", "-q"]))?;
    child::run(&mut apt(&arguments)).map_err(|e| format!("{e}\n{}", ask(&install)))
}

fn ask(install: &str) -> String {
    format!("Something is missing. Please run this, then the command again:\n\n    sudo {install}\n")
}

/// One thing that the machine must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// The sandbox.
    Bubblewrap,
    /// SQLite is compiled from source.
    CCompiler,
    /// The SDK tests are written in Python and get their own virtual environment.
    PythonVenv,
}

impl Need {
    fn name(self) -> &'static str {
        match self {
            Self::Bubblewrap => "bubblewrap",
            Self::CCompiler => "a C compiler (cc)",
            Self::PythonVenv => "python3 with venv",
        }
    }
}

fn missing(place: &Place, purpose: Purpose) -> Vec<Need> {
    let mut missing = Vec::new();
    if place.which("bwrap").is_none() {
        missing.push(Need::Bubblewrap);
    }
    if place.which("cc").is_none() && place.env_var("CC").is_none() {
        missing.push(Need::CCompiler);
    }
    let can_make_venvs = || child::succeeds(child::program(place, "python3").args(["-c", "import ensurepip, venv"]));
    if purpose == Purpose::Test && !can_make_venvs() {
        missing.push(Need::PythonVenv);
    }
    missing
}

/// What has to stand before a command that installs: nothing for root, sudo where it asks no password. `None` when
/// we have no right to install.
fn rights(place: &Place) -> Option<&'static [&'static str]> {
    let id = child::program(place, "id").arg("-u").output();
    if id.is_ok_and(|output| output.stdout.trim_ascii() == b"0") {
        return Some(&[]);
    }
    child::succeeds(child::program(place, "sudo").args(["-n", "true"])).then_some(&["sudo"])
}

/// A distribution's package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    Apt,
    Dnf,
    Pacman,
    Zypper,
    Apk,
}

impl Manager {
    fn find(present: impl Fn(&str) -> bool) -> Option<Self> {
        let known = [
            ("apt-get", Self::Apt),
            ("dnf", Self::Dnf),
            ("pacman", Self::Pacman),
            ("zypper", Self::Zypper),
            ("apk", Self::Apk),
        ];
        known.into_iter().find(|(program, _)| present(program)).map(|(_, manager)| manager)
    }

    fn packages(self, needs: &[Need]) -> Vec<&'static str> {
        let packages = |need: &Need| -> &'static [&'static str] {
            match (need, self) {
                (Need::Bubblewrap, _) => &["bubblewrap"],
                (Need::CCompiler, Self::Apt) => &["gcc", "libc6-dev"],
                (Need::CCompiler, Self::Apk) => &["build-base"],
                (Need::CCompiler, _) => &["gcc"],
                (Need::PythonVenv, Self::Apt) => &["python3", "python3-venv"],
                (Need::PythonVenv, Self::Pacman) => &["python"],
                (Need::PythonVenv, _) => &["python3"],
            }
        };
        needs.iter().flat_map(packages).copied().collect()
    }

    fn install(self, needs: &[Need]) -> String {
        let command = match self {
            Self::Apt => "apt-get install",
            Self::Dnf => "dnf install",
            Self::Pacman => "pacman -S",
            Self::Zypper => "zypper install",
            Self::Apk => "apk add",
        };
        format!("{command} {}", self.packages(needs).join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_distribution_gets_its_own_command() {
        let needs = [Need::Bubblewrap, Need::CCompiler, Need::PythonVenv];
        let all = "apt-get install bubblewrap gcc libc6-dev python3 python3-venv";
        assert_eq!(Manager::Apt.install(&needs), all);
        assert_eq!(Manager::Dnf.install(&needs), "dnf install bubblewrap gcc python3");
        assert_eq!(Manager::Pacman.install(&needs), "pacman -S bubblewrap gcc python");
        assert_eq!(Manager::Zypper.install(&needs[..1]), "zypper install bubblewrap");
        assert_eq!(Manager::Apk.install(&needs[..2]), "apk add bubblewrap build-base");
    }

    #[test]
    fn the_package_manager_is_the_one_that_is_there() {
        assert_eq!(Manager::find(|program| program == "zypper"), Some(Manager::Zypper));
        assert_eq!(Manager::find(|_| false), None);
    }
}
