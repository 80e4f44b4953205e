//! The tools `read`, `write` and `edit`.

use std::os::unix::fs::symlink;

use daybreak_sandbox::OutputBlock;
use serde_json::{Value, json};

use crate::world::{World, fails, ok, sh};

fn at(path: &str) -> Value {
    json!({ "file_path": path })
}

#[tokio::test]
async fn text_is_read_exactly() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    std::fs::write(world.workspace("a.txt"), "one\r\ntwo\n\nfour é\n").unwrap();
    std::fs::write(world.workspace("empty"), "").unwrap();
    assert_eq!(ok(&mut sandbox, "read", at("a.txt")).await, "one\r\ntwo\n\nfour é\n");
    assert_eq!(ok(&mut sandbox, "read", at("/workspace/./x/../a.txt")).await, "one\r\ntwo\n\nfour é\n");
    assert_eq!(ok(&mut sandbox, "read", at("empty")).await, "(no output)");
    for (range, text) in [
        (json!([1, 1]), "one\r"),
        (json!([2, 4]), "two\n\nfour é"),
        (json!([2, 0]), "two\n\nfour é\n"),
        (json!([4, -1]), "four é\n"),
        (json!([0, 1]), "one\r"),
        (json!([9, 12]), "(no output)"),
        (json!([3, 2]), "(no output)"),
        (json!([]), "one\r\ntwo\n\nfour é\n"),
    ] {
        let input = json!({ "file_path": "a.txt", "view_range": range });
        assert_eq!(ok(&mut sandbox, "read", input).await, text, "{range}");
    }
}

#[tokio::test]
async fn large_text_needs_a_range_that_is_small_enough() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    let line = "x".repeat(999);
    std::fs::write(world.workspace("big"), format!("{line}\n").repeat(1000)).unwrap();
    std::fs::write(world.workspace("wide"), format!("short\n{}\nend", "y".repeat(300_000))).unwrap();
    let text = fails(&mut sandbox, "read", at("big")).await;
    assert_eq!(
        text,
        "read: big is 1000000 bytes, exceeds 262144-byte limit. Use the view_range parameter to read \
        specific line ranges, e.g. view_range: [1, 500]."
    );
    let read = |file: &str, range: [i64; 2]| json!({ "file_path": file, "view_range": range });
    assert_eq!(ok(&mut sandbox, "read", read("big", [999, 1000])).await, format!("{line}\n{line}"));
    assert_eq!(ok(&mut sandbox, "read", read("big", [1000, -1])).await, format!("{line}\n"));
    assert_eq!(ok(&mut sandbox, "read", read("wide", [3, 3])).await, "end");
    assert_eq!(
        fails(&mut sandbox, "read", read("big", [1, 500])).await,
        "read: view_range [1, 500] of big exceeds \
        262144-byte limit. Narrow the view_range to read a smaller portion."
    );
    assert_eq!(
        fails(&mut sandbox, "read", read("wide", [2, 2])).await,
        "read: line 2 of wide alone exceeds \
        262144-byte limit. The read tool cannot return part of a line, so view_range cannot narrow this further."
    );
}

#[tokio::test]
async fn images_and_documents_are_blocks() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    for (name, media_type) in [
        ("a.PNG", "image/png"),
        ("b.jpeg", "image/jpeg"),
        ("c.jpg", "image/jpeg"),
        ("d.gif", "image/gif"),
        ("e.webp", "image/webp"),
    ] {
        std::fs::write(world.workspace(name), [0, 159, 146, 150]).unwrap();
        let output = sandbox.call("read", at(name).as_object().unwrap()).await;
        let block = OutputBlock::Image { media_type: media_type.into(), base64: "AJ+Slg==".into() };
        assert_eq!((output.content, output.is_error), (vec![block], false));
    }
    std::fs::write(world.workspace("f.pdf"), vec![7; 20 << 20]).unwrap();
    let output = sandbox.call("read", at("f.pdf").as_object().unwrap()).await;
    assert!(matches!(&output.content[0], OutputBlock::Document { media_type, base64 }
        if media_type == "application/pdf" && base64.len() == (20usize << 20).div_ceil(3) * 4));
    std::fs::write(world.workspace("f.pdf"), vec![7; (20 << 20) + 1]).unwrap();
    std::fs::write(world.workspace("a.PNG"), vec![7; 3_932_161]).unwrap();
    assert_eq!(
        fails(&mut sandbox, "read", at("f.pdf")).await,
        "read: f.pdf is 20971521 bytes, exceeds 20971520-byte limit for image/PDF files."
    );
    assert_eq!(
        fails(&mut sandbox, "read", at("a.PNG")).await,
        "read: a.PNG is 3932161 bytes, exceeds 3932160-byte limit for image/PDF files."
    );
    let ranged = json!({ "file_path": "b.jpeg", "view_range": [1, 2] });
    assert_eq!(fails(&mut sandbox, "read", ranged).await, "read: view_range is not supported for image/PDF files");
}

#[tokio::test]
async fn what_cannot_be_read_is_said() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    std::fs::write(world.workspace("binary"), [0xff, 0xfe]).unwrap();
    std::fs::write(world.workspace("text"), "a").unwrap();
    sh(&mut sandbox, "mkdir dir; mkfifo fifo; touch closed; chmod 000 closed; ln -s /dev/zero device; ln -s loop loop")
        .await;
    let ranged = |range: Value| json!({ "file_path": "text", "view_range": range });
    let outside = "is outside the session's working directory and its other permitted directories";
    for (input, text) in [
        (at("missing"), "read: missing: no such file or directory".to_owned()),
        (at("text/below"), "read: text/below: not a directory".to_owned()),
        (at("dir"), "read: dir: not a regular file".to_owned()),
        (at("fifo"), "read: fifo: not a regular file".to_owned()),
        (at("closed"), "read: closed: permission denied".to_owned()),
        (
            at("binary"),
            "read: binary: not valid UTF-8 text (binary files are only supported for image/PDF extensions)".to_owned(),
        ),
        (at("device"), format!("read: path 'device' {outside}")),
        (at("/etc/passwd"), format!("read: path '/etc/passwd' {outside}")),
        (at("../etc/passwd"), format!("read: path '../etc/passwd' {outside}")),
        (at("/workspace2"), format!("read: path '/workspace2' {outside}")),
        (at("loop"), "read: path 'loop': too many levels of symbolic links".to_owned()),
        (at("/proc/self/fd/0"), format!("read: path '/proc/self/fd/0' {outside}")),
        (ranged(json!([1])), "read: view_range must be [start_line, end_line]".to_owned()),
        (ranged(json!([1, 2, 3])), "read: view_range must be [start_line, end_line]".to_owned()),
        (ranged(json!("1-2")), "read: view_range must be a list of integers".to_owned()),
        (json!({}), "read: file_path is required".to_owned()),
        (json!({ "file_path": 1 }), "read: file_path must be a string".to_owned()),
        (at(&"x".repeat(5000)), format!("read: path '{}': file name too long", "x".repeat(5000))),
        (at("a\0b"), "read: path \"a\\0b\" contains a zero byte".to_owned()),
    ] {
        assert_eq!(fails(&mut sandbox, "read", input).await, text);
    }
    assert!(fails(&mut sandbox, "read", at(&"é".repeat(1 << 20))).await.len() <= 1 << 20);
    assert!(sandbox.is_alive());
}

#[tokio::test]
async fn all_permitted_directories_can_be_read_and_only_some_written() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    std::fs::write(world.mounts.uploads.join("given.txt"), "given").unwrap();
    symlink("/mnt/session/uploads/given.txt", world.workspace("link")).unwrap();
    assert_eq!(ok(&mut sandbox, "read", at("/mnt/session/uploads/given.txt")).await, "given");
    assert_eq!(ok(&mut sandbox, "read", at("link")).await, "given");
    for path in ["/tmp/a/b", "/mnt/session/outputs/o", "/workspace/w", "deep/er/file"] {
        let text = ok(&mut sandbox, "write", json!({ "file_path": path, "content": "héllo" })).await;
        assert_eq!(text, format!("wrote 6 bytes to {path}"));
        assert_eq!(ok(&mut sandbox, "read", at(path)).await, "héllo");
    }
    assert_eq!(std::fs::read_to_string(world.mounts.outputs.join("o")).unwrap(), "héllo");
    for path in ["/mnt/session/uploads/given.txt", "/mnt/session/uploads/new/x", "link"] {
        let refusal = format!("{path} is inside read-only directory /mnt/session/uploads");
        let write = json!({ "file_path": path, "content": "" });
        assert_eq!(fails(&mut sandbox, "write", write).await, format!("write: {refusal}"));
        let edit = json!({ "file_path": path, "old_string": "given", "new_string": "" });
        assert_eq!(fails(&mut sandbox, "edit", edit).await, format!("edit: {refusal}"));
    }
    let outside = fails(&mut sandbox, "write", json!({ "file_path": "/etc/x", "content": "" })).await;
    assert_eq!(
        outside,
        "write: path '/etc/x' is outside the session's working directory and its other permitted directories"
    );
}

#[tokio::test]
async fn write_replaces_files_and_nothing_else() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    sh(&mut sandbox, "mkdir dir; mkfifo fifo; echo a much longer text > old; chmod 700 old; echo x > plain; ln -s missing/new dangling").await;
    let write = |path: &str| json!({ "file_path": path, "content": "new\n" });
    ok(&mut sandbox, "write", write("old")).await;
    assert_eq!(sh(&mut sandbox, "cat old; stat -c %a old").await, "new\n700");
    ok(&mut sandbox, "write", write("dangling")).await;
    assert_eq!(sh(&mut sandbox, "cat missing/new").await, "new");
    assert_eq!(fails(&mut sandbox, "write", write("dir")).await, "write: dir: is a directory");
    assert_eq!(fails(&mut sandbox, "write", write("plain/x")).await, "write: plain/x: not a directory");
    assert!(fails(&mut sandbox, "write", write("fifo")).await.starts_with("write: fifo: "));
    assert_eq!(fails(&mut sandbox, "write", at("x")).await, "write: content is required");
}

#[tokio::test]
async fn edit_replaces_one_or_all() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    let edit = |old: &str, new: &str| json!({ "file_path": "f", "old_string": old, "new_string": new });
    std::fs::write(world.workspace("f"), "a b\r\na c\n").unwrap();
    assert_eq!(ok(&mut sandbox, "edit", edit("b\r\n", "é\r\n")).await, "edited f (1 replacement(s))");
    assert_eq!(
        fails(&mut sandbox, "edit", edit("a", "x")).await,
        "edit: old_string appears 2 times in f (must be unique)"
    );
    assert_eq!(fails(&mut sandbox, "edit", edit("zz", "x")).await, "edit: old_string not found in f");
    let all = json!({ "file_path": "f", "old_string": "a", "new_string": "aa", "replace_all": true });
    assert_eq!(ok(&mut sandbox, "edit", all).await, "edited f (2 replacement(s))");
    assert_eq!(std::fs::read_to_string(world.workspace("f")).unwrap(), "aa é\r\naa c\n");
}

#[tokio::test]
async fn what_cannot_be_edited_is_said() {
    let world = World::new().await;
    let mut sandbox = world.open().await;
    std::fs::write(world.workspace("big"), vec![b'a'; 262_145]).unwrap();
    std::fs::write(world.workspace("full"), vec![b'a'; 262_144]).unwrap();
    std::fs::write(world.workspace("binary"), [0xff]).unwrap();
    std::fs::create_dir(world.workspace("dir")).unwrap();
    for (path, text) in [
        (
            "big",
            "edit: big is 262145 bytes, exceeds 262144-byte limit. The edit tool loads the whole file and cannot modify a file this large.",
        ),
        ("binary", "edit: binary: not valid UTF-8 text (cannot edit binary files)"),
        ("dir", "edit: dir: not a regular file"),
        ("none", "edit: none: no such file or directory"),
    ] {
        let input = json!({ "file_path": path, "old_string": "a", "new_string": "b" });
        assert_eq!(fails(&mut sandbox, "edit", input).await, text);
    }
    let bomb = json!({ "file_path": "full", "old_string": "", "new_string": "b".repeat(100_000), "replace_all": true });
    assert!(fails(&mut sandbox, "edit", bomb).await.contains("would exceed"));
    assert!(sandbox.is_alive());
}
