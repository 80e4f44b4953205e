//! Why no sandbox can be started here, and what to do about it.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

/// Why no sandbox can be started on this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no sandbox can be started here: {problem}. {remedy}")]
pub struct Unavailable {
    /// What is wrong.
    pub problem: String,
    /// What the operator can do about it.
    pub remedy: String,
}

const INSTALL: &str = "Install the package `bubblewrap`, version 0.8.0 or newer (Debian, Ubuntu: apt-get install \
    bubblewrap; Fedora: dnf install bubblewrap; Arch: pacman -S bubblewrap)";

impl Unavailable {
    fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into() }
    }

    pub(crate) fn no_bubblewrap() -> Self {
        Self::new("the program `bwrap` is not installed", INSTALL)
    }

    pub(crate) fn no_helper(path: &std::path::Path) -> Self {
        let problem = format!("the program {} cannot be executed in a sandbox", path.display());
        Self::new(problem, "Check that the file exists and is readable and executable")
    }

    pub(crate) fn reaches_the_host(what: &str) -> Self {
        let problem = format!("the self-test reached the host: {what}");
        let remedy =
            "Update the package `bubblewrap` and the kernel; if it persists, run the server as an ordinary user";
        Self::new(problem, remedy)
    }

    pub(crate) fn failed(problem: impl Into<String>) -> Self {
        let remedy = "Run `bwrap --unshare-all --ro-bind / / true` as the server's user to see what the host refuses";
        Self::new(problem, remedy)
    }

    /// Explains a sandbox that did not start, from what bubblewrap said and how the kernel is set.
    pub(crate) fn explain(said: &str) -> Self {
        explain(said, |name| fs::read_to_string(format!("/proc/sys/{name}")).ok())
    }
}

fn explain(said: &str, sysctl: impl Fn(&str) -> Option<String>) -> Unavailable {
    let is = |name: &str, value: &str| sysctl(name).is_some_and(|set| set.trim() == value);
    let problem = said.trim().replace('\n', "; ");
    if said.contains("Unknown option") {
        return Unavailable::new(format!("the installed bubblewrap is too old ({problem})"), INSTALL);
    }
    let settings = [
        ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (or load an AppArmor profile for bwrap that \
             allows `userns`)",
        ),
    ];
    for (name, value, command) in settings {
        if is(name, value) {
            let name = name.replace('/', ".");
            let problem = format!("user namespaces are turned off ({name} = {value}; {problem})");
            return Unavailable::new(problem, format!("Turn them on: {command}"));
        }
    }
    if said.contains("Operation not permitted") || said.contains("Permission denied") {
        let remedy = "In a container, allow namespaces: --security-opt seccomp=unconfined --security-opt \
            apparmor=unconfined --security-opt systempaths=unconfined";
        return Unavailable::new(format!("the host refuses what bubblewrap needs ({problem})"), remedy);
    }
    Unavailable::failed(if problem.is_empty() { "the sandbox did not answer".to_owned() } else { problem })
}

/// Finds bubblewrap where the operator's path says, then where packages put it.
pub(crate) fn find_bubblewrap() -> Result<PathBuf, Unavailable> {
    let path = search_path();
    let usual = ["/usr/bin", "/usr/local/bin", "/bin"].map(PathBuf::from);
    find_program("bwrap", std::env::split_paths(&path).chain(usual)).ok_or_else(Unavailable::no_bubblewrap)
}

/// Where this process looks for programs.
#[expect(clippy::disallowed_methods, reason = "where programs are found belongs to the process, as it does for exec")]
pub(crate) fn search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into())
}

fn find_program(name: &str, directories: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    // A relative directory would depend on where the server was started.
    let absolute = directories.into_iter().filter(|directory| directory.is_absolute());
    absolute.map(|directory| directory.join(name)).find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_bubblewrap_names_the_package() {
        assert_eq!(find_program("bwrap", [PathBuf::from("/nonexistent"), PathBuf::from(".")]), None);
        let message = Unavailable::no_bubblewrap().to_string();
        assert!(message.contains("apt-get install bubblewrap"), "{message}");
    }

    #[test]
    fn a_refusal_names_the_setting_to_change() {
        let with = |name: &'static str, value: &'static str| {
            explain("bwrap: No permissions to create new namespace", move |asked| {
                (asked == name).then(|| format!("{value}\n"))
            })
            .to_string()
        };
        assert!(with("kernel/unprivileged_userns_clone", "0").contains("kernel.unprivileged_userns_clone=1"));
        assert!(with("user/max_user_namespaces", "0").contains("user.max_user_namespaces=15000"));
        let apparmor = "kernel/apparmor_restrict_unprivileged_userns";
        assert!(with(apparmor, "1").contains("AppArmor profile"));
        let message = explain("bwrap: Unknown option --disable-userns", |_| None).to_string();
        assert!(message.contains("too old") && message.contains("0.8.0"), "{message}");
        let message = explain("bwrap: Can't mount proc: Operation not permitted", |_| None).to_string();
        assert!(message.contains("systempaths=unconfined"), "{message}");
        assert!(explain("", |_| None).to_string().contains("did not answer"));
    }
}
