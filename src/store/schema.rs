//! Opens a database file: pragmas, identity, forward-only migrations with a copy beforehand.
//!
//! Why this is our own code and no crate: `docs/adr/0002-own-migrations.md`.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::fault::OpenError;
use super::names::beside;
use super::rows;

/// "bunr": tells our files from other programs' databases.
const APPLICATION_ID: i64 = 0x6275_6e72;

/// One script per schema number, from 1 on; a published one is never changed.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/001_initial.sql"),
    include_str!("migrations/002_settings.sql"),
    include_str!("migrations/003_causes.sql"),
    include_str!("migrations/004_restored.sql"),
    include_str!("migrations/005_retention.sql"),
    include_str!("migrations/006_beside_jobs.sql"),
    include_str!("migrations/007_secrets.sql"),
    include_str!("migrations/008_descriptions.sql"),
];

/// The write-ahead log is cut back to this after a burst.
const LOG_BYTES: i64 = 64 * 1024 * 1024;

/// Statements that every connection keeps prepared; more than the store has.
const STATEMENTS: usize = 128;

/// Opens the writer's connection, brings the schema up to date, and returns it.
///
/// # Errors
/// See [`OpenError`].
pub(super) fn open_writer(path: &Path, busy_timeout: Duration) -> Result<Connection, OpenError> {
    let existed = create_private(path)?;
    let mut connection = connect(path, busy_timeout)?;
    let at = |doing| move |source| OpenError::Sqlite { path: path.to_owned(), doing, source };
    let found = check_identity(&connection, path)?;
    if existed && found > 0 && found < newest() {
        copy_before(&connection, path, found)?;
    }
    if found == 0 {
        // Only takes effect before the first table exists.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(at("set up"))?;
    }
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).map_err(at("set up"))?;
    connection.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES, |_| Ok(())).map_err(at("set up"))?;
    migrate(&mut connection, found).map_err(at("migrate"))?;
    Ok(connection)
}

/// Whether a file is a database that this release can open.
///
/// # Errors
/// See [`OpenError`].
pub(super) fn check_file(path: &Path) -> Result<(), OpenError> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_URI;
    // Without a log nobody has it open, and none is to be left beside it by who only looks.
    let alone = !beside(path, "-wal").exists();
    let escaped = path.display().to_string().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let address = format!("file:{escaped}?immutable={}", u8::from(alone));
    let connection = Connection::open_with_flags(address, flags).map_err(|source| OpenError::Sqlite {
        path: path.to_owned(),
        doing: "open",
        source,
    })?;
    match check_identity(&connection, path)? {
        0 => Err(OpenError::NotOurs { path: path.to_owned() }),
        _ => Ok(()),
    }
}

/// The value of a setting that is fixed once: `first` if it was not set before. Writes only then.
///
/// # Errors
/// SQLite's.
pub(super) fn fix_setting(connection: &Connection, name: &str, first: &str) -> rusqlite::Result<String> {
    if let Some(value) = rows::setting(connection, name)? {
        return Ok(value);
    }
    connection.execute("INSERT INTO settings (name, value) VALUES (?1, ?2)", (name, first))?;
    Ok(first.to_owned())
}

/// Opens a connection that can only read.
///
/// # Errors
/// See [`OpenError`].
pub(super) fn open_reader(path: &Path, busy_timeout: Duration) -> Result<Connection, OpenError> {
    let connection = connect(path, busy_timeout)?;
    connection.pragma_update(None, "query_only", true).map_err(|source| OpenError::Sqlite {
        path: path.to_owned(),
        doing: "set up a reader of",
        source,
    })?;
    Ok(connection)
}

fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).expect("there are few migrations")
}

/// Makes the file, readable by its owner alone, and tells whether it was there before.
fn create_private(path: &Path) -> Result<bool, OpenError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(true),
        Err(source) => Err(OpenError::Io { path: path.to_owned(), doing: "create", source }),
    }
}

fn connect(path: &Path, busy_timeout: Duration) -> Result<Connection, OpenError> {
    let at = |doing| move |source| OpenError::Sqlite { path: path.to_owned(), doing, source };
    let connection = Connection::open(path).map_err(at("open"))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    let set = || {
        connection.busy_timeout(busy_timeout)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)
    };
    set().map_err(at("set up"))?;
    Ok(connection)
}

/// Refuses foreign and newer files; returns the schema number, 0 for an empty file.
fn check_identity(connection: &Connection, path: &Path) -> Result<i64, OpenError> {
    let at = |source| OpenError::Sqlite { path: path.to_owned(), doing: "read", source };
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let application = number("application_id").map_err(at)?;
    let found = number("user_version").map_err(at)?;
    let objects: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(at)?;
    let empty = application == 0 && found == 0 && objects == 0;
    if application != APPLICATION_ID && !empty {
        return Err(OpenError::NotOurs { path: path.to_owned() });
    }
    if found > newest() {
        return Err(OpenError::Newer { path: path.to_owned(), found, known: newest() });
    }
    Ok(found)
}

/// Copies the database, write-ahead log included, to `<db>.before-<from>-to-<to>`.
fn copy_before(connection: &Connection, path: &Path, found: i64) -> Result<(), OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".before-{found}-to-{}", newest()));
    let copy = PathBuf::from(name);
    create_private(&copy)?;
    connection.backup("main", &copy, None::<fn(rusqlite::backup::Progress)>).map_err(|source| OpenError::Sqlite {
        path: copy.clone(),
        doing: "copy the database to",
        source,
    })?;
    let sync = || OpenOptions::new().write(true).open(&copy)?.sync_all();
    sync().map_err(|source| OpenError::Io { path: copy.clone(), doing: "sync", source })
}

/// Runs the missing scripts, each in a transaction with its schema number.
fn migrate(connection: &mut Connection, found: i64) -> rusqlite::Result<()> {
    for (number, script) in (1_i64..).zip(MIGRATIONS).filter(|(number, _)| *number > found) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(script)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: Duration = Duration::from_millis(100);

    fn pragma(connection: &Connection, name: &str) -> i64 {
        connection.pragma_query_value(None, name, |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_new_file_gets_the_newest_schema_and_its_settings() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let connection = open_writer(&path, BUSY).unwrap();
        assert_eq!(pragma(&connection, "user_version"), newest());
        assert_eq!(pragma(&connection, "application_id"), APPLICATION_ID);
        assert_eq!(pragma(&connection, "auto_vacuum"), 2, "incremental");
        assert_eq!(pragma(&connection, "synchronous"), 2, "full");
        assert_eq!(pragma(&connection, "foreign_keys"), 1);
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn opening_again_changes_nothing_and_makes_no_copy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        open_writer(&path, BUSY).unwrap().execute("UPDATE counters SET value = 7 WHERE name = 'job'", []).unwrap();
        let connection = open_writer(&path, BUSY).unwrap();
        let value: i64 =
            connection.query_row("SELECT value FROM counters WHERE name = 'job'", [], |row| row.get(0)).unwrap();
        assert_eq!(value, 7);
        let copies = std::fs::read_dir(folder.path()).unwrap().flatten();
        assert!(copies.into_iter().all(|entry| !entry.file_name().to_string_lossy().contains("before")));
    }

    #[test]
    fn a_copy_is_private_and_holds_what_only_the_log_had() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let connection = open_writer(&path, BUSY).unwrap();
        connection.execute("UPDATE counters SET value = 9 WHERE name = 'event'", []).unwrap();
        copy_before(&connection, &path, 0).unwrap();
        let copy = Connection::open(folder.path().join(format!("a.db.before-0-to-{}", newest()))).unwrap();
        let value: i64 =
            copy.query_row("SELECT value FROM counters WHERE name = 'event'", [], |row| row.get(0)).unwrap();
        assert_eq!(value, 9);
    }

    #[test]
    fn newer_and_foreign_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let newer = folder.path().join("newer.db");
        open_writer(&newer, BUSY).unwrap().pragma_update(None, "user_version", newest() + 1).unwrap();
        let error = open_writer(&newer, BUSY).unwrap_err();
        assert!(matches!(error, OpenError::Newer { found, .. } if found == newest() + 1), "{error}");
        let foreign = folder.path().join("foreign.db");
        Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE other (x)").unwrap();
        assert!(matches!(open_writer(&foreign, BUSY), Err(OpenError::NotOurs { .. })));
        let text = folder.path().join("text.db");
        std::fs::write(&text, "hello, this is no database at all, only text").unwrap();
        assert!(open_writer(&text, BUSY).is_err());
    }
}
