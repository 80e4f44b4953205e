//! The tools `glob` and `grep`.

use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::world::{World, fails, ok, sh};

fn write(world: &World, name: &str, content: impl AsRef<[u8]>) {
    let path = world.workspace(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

fn pattern(pattern: &str) -> Value {
    json!({ "pattern": pattern })
}

#[tokio::test]
async fn glob_gives_absolute_paths_newest_first() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    for (age, name) in [(30, "src/old.rs"), (10, "src/deep/new.rs"), (20, ".hidden/mid.rs"), (5, "notes.txt")] {
        write(&world, name, "");
        let time = SystemTime::now() - Duration::from_secs(age);
        std::fs::File::options().write(true).open(world.workspace(name)).unwrap().set_modified(time).unwrap();
    }
    let all = "/workspace/src/deep/new.rs\n/workspace/.hidden/mid.rs\n/workspace/src/old.rs";
    assert_eq!(ok(&mut sandbox, "glob", pattern("**/*.rs")).await, all);
    assert_eq!(ok(&mut sandbox, "glob", pattern("src/*.rs")).await, "/workspace/src/old.rs");
    assert_eq!(ok(&mut sandbox, "glob", pattern("./*.{txt,md}")).await, "/workspace/notes.txt");
    let below = json!({ "pattern": "*.rs", "path": "src/deep" });
    assert_eq!(ok(&mut sandbox, "glob", below).await, "/workspace/src/deep/new.rs");
    assert_eq!(ok(&mut sandbox, "glob", pattern("*.py")).await, "no matches");
}

#[tokio::test]
async fn glob_stays_where_it_is_put() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    write(&world, "dir/in.txt", "");
    symlink("/etc", world.workspace("etc")).unwrap();
    symlink("/etc/passwd", world.workspace("dir/away.txt")).unwrap();
    symlink("in.txt", world.workspace("dir/near.txt")).unwrap();
    let text = ok(&mut sandbox, "glob", pattern("**/*.txt")).await;
    assert!(text.contains("near.txt") && text.contains("in.txt") && !text.contains("away.txt"), "{text}");
    assert_eq!(ok(&mut sandbox, "glob", pattern("etc/*")).await, "no matches");
    let absolute = "glob: absolute pattern not permitted; pass a relative pattern (and optionally path)";
    assert_eq!(fails(&mut sandbox, "glob", pattern("/etc/*")).await, absolute);
    for escape in ["../*", "dir/../../etc/*"] {
        assert_eq!(fails(&mut sandbox, "glob", pattern(escape)).await, "glob: '..' is not permitted in the pattern");
    }
    assert!(fails(&mut sandbox, "glob", pattern("[")).await.starts_with("glob: "));
    let outside = "glob: path '/etc' is outside the session's working directory and its other permitted directories";
    assert_eq!(fails(&mut sandbox, "glob", json!({ "pattern": "*", "path": "/etc" })).await, outside);
    let missing = json!({ "pattern": "*", "path": "none" });
    assert_eq!(fails(&mut sandbox, "glob", missing).await, "glob: none: no such file or directory");
    assert_eq!(fails(&mut sandbox, "glob", json!({})).await, "glob: pattern is required");
}

#[tokio::test]
async fn glob_is_bounded() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    sh(&mut sandbox, "mkdir many; cd many; seq -f 'f%05g' 1 60000 | xargs touch; touch ../zz").await;
    assert_eq!(ok(&mut sandbox, "glob", pattern("**/f*")).await.lines().count(), 200);
    // Entries are visited in the order of their names, and the walk has ended before this one.
    assert_eq!(ok(&mut sandbox, "glob", pattern("zz")).await, "no matches");
}

#[tokio::test]
async fn grep_gives_path_line_and_text() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    write(&world, "a/one.txt", "alpha\nbeta 42\r\ngamma 7\n");
    write(&world, "b.txt", "Beta 1");
    write(&world, ".git/config", "beta 1");
    write(&world, "node_modules/x/y", "beta 1");
    write(&world, "binary", b"\0beta 1");
    write(&world, "latin", b"\xff beta 1\n");
    write(&world, "long", format!("beta 1 {}\nbeta 2\n", "x".repeat(2000)));
    symlink("/etc/passwd", world.workspace("away")).unwrap();
    sh(&mut sandbox, "mkfifo pipe").await;
    let text = ok(&mut sandbox, "grep", pattern(r"beta .*\d+$")).await;
    let expected = "/workspace/a/one.txt:2:beta 42\n/workspace/latin:1:\u{fffd} beta 1\n/workspace/long:2:beta 2";
    assert_eq!(text, expected);
    let one = json!({ "pattern": "(?i)BETA", "path": "b.txt" });
    assert_eq!(ok(&mut sandbox, "grep", one).await, "/workspace/b.txt:1:Beta 1");
    assert_eq!(ok(&mut sandbox, "grep", pattern("root:")).await, "no matches");
    assert!(fails(&mut sandbox, "grep", pattern("(")).await.starts_with("grep: invalid regex: "));
    let outside = "grep: path '..' is outside the session's working directory and its other permitted directories";
    assert_eq!(fails(&mut sandbox, "grep", json!({ "pattern": "x", "path": ".." })).await, outside);
    assert_eq!(fails(&mut sandbox, "grep", json!({})).await, "grep: pattern is required");
}

#[tokio::test]
async fn grep_output_is_bounded() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    write(&world, "many", "match this line\n".repeat(100_000));
    let text = ok(&mut sandbox, "grep", pattern("match")).await;
    assert!(text.ends_with("\n[output truncated at 102400 bytes]"), "{}", text.len());
    assert!(text.len() <= 102_400 + 40);
    write(&world, "many", vec![b'm'; 64 << 20]);
    assert_eq!(ok(&mut sandbox, "grep", pattern("m+")).await, "no matches");
}
