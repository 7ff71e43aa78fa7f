package main

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver
)

// sqliteEntrants are those of SQLite with a write-ahead log. Writers share one
// connection: it has one writer at a time in any case.
func sqliteEntrants() []entrant {
	sets := func(writers int, mode string) func(*lab) (float64, error) {
		return func(l *lab) (float64, error) { return sqliteSets(l, writers, mode) }
	}
	write := func(mode string) func(*lab) (float64, error) {
		return func(l *lab) (float64, error) { return sqliteWrite(l, mode) }
	}
	const full, normal = "SQLite WAL, synchronous=FULL", "SQLite WAL, synchronous=NORMAL"
	return []entrant{
		{work: "set, 1 writer", who: full, kept: durable, once: sets(1, "FULL")},
		{work: "set, 1 writer", who: normal, kept: atSome, once: sets(1, "NORMAL")},
		{work: "set, 8 writers", who: full, kept: durable, once: sets(8, "FULL")},
		{work: "disk after overwrites", who: "SQLite, closed", kept: durable, once: sqliteOverwrites},
		{work: "document, write", who: full, kept: durable, once: write("FULL")},
		{work: "document, write", who: normal, kept: atSome, once: write("NORMAL")},
		{work: "document, size", who: "SQLite, closed", kept: durable, once: sqliteSize},
	}
}

// inSQLite calls fn with a database in dir, and closes it.
func inSQLite(dir, mode string, fn func(*sql.DB) error) error {
	db, err := sql.Open("sqlite", fmt.Sprintf("file:%s?_pragma=journal_mode(WAL)&_pragma=synchronous(%s)", filepath.Join(dir, "db"), mode))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	_, err = db.Exec("CREATE TABLE kv (k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID")
	if err == nil {
		err = fn(db)
	}
	return errors.Join(err, db.Close())
}

const sqliteSet = "INSERT INTO kv VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET v = excluded.v"

// sqliteMany sets n keys one after the other, from so many goroutines.
func sqliteMany(db *sql.DB, n, writers int, keyOf func(int) string) (float64, error) {
	set, err := db.Prepare(sqliteSet)
	if err != nil {
		return 0, err
	}
	defer set.Close()
	return rate(n, writers, func(i int) error {
		_, err := set.Exec(keyOf(i), value(i))
		return err
	})
}

func sqliteSets(l *lab, writers int, mode string) (perSecond float64, err error) {
	err = l.folder(func(dir string) error {
		return inSQLite(dir, mode, func(db *sql.DB) (err error) {
			perSecond, err = sqliteMany(db, setCount(writers, mode == "FULL"), writers, func(i int) string { return key(shuffled(i)) })
			return err
		})
	})
	return perSecond, err
}

func sqliteOverwrites(l *lab) (bytes float64, err error) {
	err = l.folder(func(dir string) error {
		err := inSQLite(dir, "NORMAL", func(db *sql.DB) error {
			_, err := sqliteMany(db, overwrites, 1, func(i int) string { return key(i % rewritten) })
			return err
		})
		if err == nil {
			bytes, err = sizeOf(dir)
		}
		return err
	})
	return bytes, err
}

// sqliteFill writes the document, 100 keys in a transaction.
func sqliteFill(db *sql.DB) error {
	for from := 0; from < keyCount; from += keysAtOnce {
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		set, err := tx.Prepare(sqliteSet)
		for i := from; err == nil && i < from+keysAtOnce; i++ {
			_, err = set.Exec(key(i), value(i))
		}
		if err != nil {
			return errors.Join(err, tx.Rollback())
		}
		if err := tx.Commit(); err != nil {
			return err
		}
	}
	return nil
}

func sqliteWrite(l *lab, mode string) (perSecond float64, err error) {
	err = l.folder(func(dir string) error {
		return inSQLite(dir, mode, func(db *sql.DB) error {
			start := time.Now()
			err := sqliteFill(db)
			perSecond = keyCount / time.Since(start).Seconds()
			return err
		})
	})
	return perSecond, err
}

func sqliteSize(l *lab) (bytes float64, err error) {
	err = l.folder(func(dir string) error {
		err := inSQLite(dir, "NORMAL", sqliteFill)
		if err == nil {
			bytes, err = sizeOf(dir)
		}
		return err
	})
	return bytes, err
}
