//! Puppet's rules for tasks, on modules made for each test.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use bunraku_actors::model::TaskName;
use bunraku_actors::ports::{DirectoryError, TaskDetail};
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::{HashCache, list, module, resolve};

/// Modules below a temporary directory.
struct Modules {
    directory: TempDir,
}

impl Modules {
    fn new(files: &[(&str, &str)]) -> Self {
        let modules = Self { directory: TempDir::new().unwrap() };
        for (path, content) in files {
            modules.write(path, content);
        }
        modules
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn at(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn path(&self) -> Vec<PathBuf> {
        vec![self.directory.path().to_owned()]
    }

    fn detail(&self, name: &str) -> Result<Option<TaskDetail>, DirectoryError> {
        let name = TaskName::parse(name).unwrap();
        Ok(resolve(&self.path(), &name, &HashCache::default())?.map(|resolved| resolved.detail))
    }

    fn broken(&self, name: &str) -> String {
        match self.detail(name) {
            Err(DirectoryError::BrokenTask { task, reason }) => {
                assert_eq!(task, name);
                reason
            }
            other => panic!("{name} should be broken, but is {other:?}"),
        }
    }

    fn files(&self, name: &str) -> Vec<(String, String)> {
        let detail = self.detail(name).unwrap().unwrap();
        detail.files.into_iter().map(|file| (file.filename, file.path)).collect()
    }

    fn listed(&self) -> Vec<(String, String, bool)> {
        let tasks = list(&self.path()).unwrap();
        tasks.into_iter().map(|task| (task.name.to_string(), task.description, task.private)).collect()
    }
}

fn pair(filename: &str, path: &str) -> (String, String) {
    (filename.to_owned(), format!("/puppet/v3/file_content/{path}"))
}

#[test]
fn the_list_has_names_descriptions_and_private_tasks() {
    let modules = Modules::new(&[
        ("exec/tasks/init.json", r#"{"description": "runs"}"#),
        ("exec/tasks/init.sh", ""),
        ("exec/tasks/bare", ""),
        ("exec/tasks/hush.json", r#"{"description": "no", "private": true}"#),
        ("exec/tasks/hush.rb", ""),
        ("exec/tasks/broken.json", "{"),
        ("exec/tasks/broken.sh", ""),
        ("exec/tasks/README.md", ""),
        ("exec/tasks/readme.md", ""),
        ("exec/tasks/backup.sh~", ""),
        ("exec/tasks/.hidden", ""),
        ("exec/tasks/a.b.sh", ""),
        ("exec/tasks/folder/file.sh", ""),
        ("Not_A_Module/tasks/init.sh", ""),
        ("empty/manifests/init.pp", ""),
    ]);
    let listed = modules.listed();
    let expected =
        [("exec", "runs", false), ("exec::bare", "", false), ("exec::broken", "", false), ("exec::hush", "no", true)];
    let seen: Vec<_> = listed.iter().map(|(name, text, private)| (name.as_str(), text.as_str(), *private)).collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_task_has_its_metadata_and_its_file() {
    let modules = Modules::new(&[("m/tasks/t.json", r#"{"description": "d", "x": 1}"#), ("m/tasks/t.sh", "abc")]);
    let detail = modules.detail("m::t").unwrap().unwrap();
    assert_eq!(detail.metadata, json!({"description": "d", "x": 1}));
    let file = &detail.files[0];
    assert_eq!(file.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!((file.filename.as_str(), file.size_bytes), ("t.sh", 3));
    assert_eq!(modules.files("m::t"), [pair("t.sh", "tasks/m/t.sh")]);

    modules.write("m/tasks/init", "x");
    let default = modules.detail("m::init").unwrap().unwrap();
    assert_eq!((default.name.as_str(), default.metadata), ("m", json!({})));
    assert_eq!(modules.detail("m::nosuch").unwrap(), None);
    assert_eq!(modules.detail("nosuch").unwrap(), None);
}

#[test]
fn implementations_come_first_then_shared_files() {
    let metadata = r#"{"implementations": [
        {"name": "multi_linux.sh", "requirements": ["shell"], "files": ["m/lib/helper.sh"]},
        {"name": "multi_win.ps1", "requirements": ["powershell"]}],
      "files": ["other/files/shipped.txt", "m/files/dir/", "m/lib/helper.sh", "m/scripts/s p.sh"]}"#;
    let modules = Modules::new(&[
        ("m/tasks/multi.json", metadata),
        ("m/tasks/multi_linux.sh", ""),
        ("m/tasks/multi_win.ps1", ""),
        ("m/lib/helper.sh", ""),
        ("m/scripts/s p.sh", ""),
        ("m/files/dir/b", ""),
        ("m/files/dir/a/deep", ""),
        ("m/files/dir/.secret", ""),
        ("other/files/shipped.txt", ""),
    ]);
    let expected = [
        pair("multi_linux.sh", "tasks/m/multi_linux.sh"),
        pair("multi_win.ps1", "tasks/m/multi_win.ps1"),
        pair("other/files/shipped.txt", "modules/other/shipped.txt"),
        pair("m/files/dir/a/deep", "modules/m/dir/a/deep"),
        pair("m/files/dir/b", "modules/m/dir/b"),
        pair("m/lib/helper.sh", "plugins/m/helper.sh"),
        pair("m/scripts/s p.sh", "scripts/m/s%20p.sh"),
    ];
    assert_eq!(modules.files("m::multi"), expected);
    let names: Vec<String> = modules.listed().into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["m::multi"], "implementations of another task are not in the list");
    assert_eq!(modules.files("m::multi_linux").len(), 1, "yet they can be asked for");

    modules.write("m/tasks/multi_linux.json", r#"{"description": "stands alone"}"#);
    assert_eq!(modules.listed().len(), 2, "with metadata of its own it is a task");
}

#[test]
fn broken_tasks_say_what_is_wrong() {
    let files = |metadata: &str| format!(r#"{{"files": [{metadata:?}]}}"#);
    let modules = Modules::new(&[
        ("m/tasks/only.json", "{}"),
        ("m/tasks/two.rb", ""),
        ("m/tasks/two.sh", ""),
        ("m/tasks/gone.json", r#"{"implementations": [{"name": "gone.sh"}]}"#),
        ("m/tasks/t.sh", ""),
        ("m/files/dir/x", ""),
    ]);
    assert_eq!(modules.broken("m::only"), "there is no executable beside its metadata");
    assert!(modules.broken("m::two").contains("several executables (two.rb, two.sh)"));
    assert!(modules.broken("m::gone").contains("'gone.sh'"));
    let cases = [
        ("{", "its metadata t.json is not valid JSON"),
        (&files("nosuch/files/x"), "file 'nosuch/files/x' is of the module 'nosuch', which is missing"),
        (&files("m/manifests/x"), "must begin with a module and one of files, lib, scripts, tasks"),
        (&files("m"), "must begin with"),
        (&files("m/files/nosuch"), "file 'm/files/nosuch' cannot be read"),
        (&files("m/files/dir"), "is not a regular file"),
        (&files("m/files/dir/x/"), "is not a directory"),
        (&files("m/files/../tasks/t.sh"), "is not a plain path"),
        (&files("m/files/./dir/x"), "is not a plain path"),
        (&files("m/files//dir/x"), "is not a plain path"),
        (&files("../m/files/x"), "which is missing"),
        (&files("/etc/passwd"), "which is missing"),
    ];
    for (metadata, expected) in cases {
        modules.write("m/tasks/t.json", metadata);
        let reason = modules.broken("m::t");
        assert!(reason.contains(expected), "{metadata}: {reason}");
    }
}

#[test]
fn links_stay_inside_the_module() {
    let modules = Modules::new(&[
        ("m/tasks/real.sh", "x"),
        ("m/files/dir/inner", "y"),
        ("m/tasks/shares.sh", ""),
        ("m/tasks/shares.json", r#"{"files": ["m/files/dir/"]}"#),
        ("secret", "z"),
    ]);
    symlink("real.sh", modules.at("m/tasks/good.sh")).unwrap();
    symlink(modules.at("secret"), modules.at("m/tasks/out.sh")).unwrap();
    symlink("/nonexistent", modules.at("m/tasks/dangling.sh")).unwrap();
    symlink(modules.at("m/tasks"), modules.at("m/files/dir/loop")).unwrap();
    assert_eq!(modules.files("m::good"), [pair("good.sh", "tasks/m/good.sh")]);
    assert!(modules.broken("m::out").contains("leaves its module"));
    assert!(modules.broken("m::dangling").contains("cannot be read"));
    assert_eq!(modules.files("m::shares").len(), 2, "a link to a directory is not followed");

    symlink(modules.at("secret"), modules.at("m/files/dir/leak")).unwrap();
    assert!(modules.broken("m::shares").contains("leaves its module"));
    // The module itself may be a link: people develop that way.
    symlink(modules.at("m"), modules.at("linked")).unwrap();
    assert_eq!(modules.files("linked::good"), [pair("good.sh", "tasks/linked/good.sh")]);
}

#[test]
fn the_first_module_of_the_path_wins() {
    let (first, second) =
        (Modules::new(&[("m/tasks/a.sh", "")]), Modules::new(&[("m/tasks/b.sh", ""), ("n/tasks/c.sh", "")]));
    let path = [Path::new("/nonexistent").to_owned(), first.path().remove(0), second.path().remove(0)];
    let names: Vec<String> = list(&path).unwrap().into_iter().map(|task| task.name.to_string()).collect();
    assert_eq!(names, ["m::a", "n::c"]);
    let hidden = resolve(&path, &TaskName::parse("m::b").unwrap(), &HashCache::default()).unwrap();
    assert!(hidden.is_none());
}

#[test]
fn a_fifo_is_no_task_file() {
    let modules = Modules::new(&[("m/tasks/t.sh", ""), ("m/tasks/t.json", r#"{"files": ["m/files/pipe"]}"#)]);
    fs::create_dir(modules.at("m/files")).unwrap();
    let pipe = modules.at("m/files/pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    assert!(modules.broken("m::t").contains("is not a regular file"), "opening it would wait for ever");
}

proptest! {
    #[test]
    fn no_shared_file_leads_out_of_its_module(entry in "(m/)?(files|lib|tasks|x)?/?[a-z./]{0,24}") {
        let modules = Modules::new(&[("m/tasks/t.sh", ""), ("m/files/a", ""), ("x/files/a", ""), ("a", "outside")]);
        modules.write("m/tasks/t.json", &json!({"files": [entry]}).to_string());
        let name = TaskName::parse("m::t").unwrap();
        if let Ok(Some(resolved)) = resolve(&modules.path(), &name, &HashCache::default()) {
            let root = modules.directory.path().canonicalize().unwrap();
            for source in resolved.sources {
                let inside = source.starts_with(root.join("m")) || source.starts_with(root.join("x"));
                prop_assert!(inside, "{:?} gave {:?}", entry, source);
            }
        }
    }

    /// As above, with what other systems take for separators and dots, and links to what lies outside.
    #[test]
    fn no_odd_name_leads_out_of_its_module(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "m/", "files/", "tasks/", "out", "up", "..", "../", "/", "\\", "%2e%2e", "%2f", "\0", "\u{ff0e}\u{ff0e}",
                "\u{2025}", "\u{ff0f}", "secret", "a", "~", ".", " ",
            ]),
            1..7,
        ),
    ) {
        let modules = Modules::new(&[("m/tasks/t.sh", ""), ("m/files/a", ""), ("secret", "outside"), ("x/secret", "outside")]);
        symlink(modules.at("secret"), modules.at("m/files/out")).unwrap();
        symlink(modules.directory.path(), modules.at("m/files/up")).unwrap();
        modules.write("m/tasks/t.json", &json!({"files": [format!("m/files/{}", pieces.concat())]}).to_string());
        modules.write("m/tasks/u.json", &json!({"implementations": [{"name": pieces.concat()}]}).to_string());
        let root = modules.directory.path().canonicalize().unwrap().join("m");
        for task in ["m::t", "m::u"] {
            let name = TaskName::parse(task).unwrap();
            let resolved = resolve(&modules.path(), &name, &HashCache::default()).ok().flatten();
            for source in resolved.iter().flat_map(|resolved| &resolved.sources) {
                prop_assert!(source.starts_with(&root), "{:?} gave {:?}", pieces, source);
            }
        }
        if let Ok(name) = TaskName::parse(&pieces.concat()) {
            let (module, task) = name.parts();
            prop_assert!(module::is_name(module) && module::is_name(task), "{:?}", pieces);
        }
    }

    #[test]
    fn a_stem_is_a_prefix_up_to_the_last_dot(name in "[a-z.]{1,12}") {
        let stem = module::stem(&name);
        prop_assert!(name.starts_with(stem) && !stem.is_empty());
        prop_assert!(stem == name || name[stem.len()..].rfind('.') == Some(0));
    }
}
