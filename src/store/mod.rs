//! The store: SQLite behind one writer thread, readers apart.
