/* controller/store/migrations.h - the steps from an empty database to the current schema
 *
 * Each file migrations/NNNN-name.sql is one step, compiled in by make_migrations.py. A step that
 * was released is never changed: a new one follows it.
 */
#ifndef PEN_CONTROLLER_STORE_MIGRATIONS_H
#define PEN_CONTROLLER_STORE_MIGRATIONS_H

struct pen_migration {
    int version; /* of the schema after this step */
    const char *name;
    const char *sql;
};

extern const struct pen_migration pen_migrations[]; /* by version, from 1, without gaps */
extern const int pen_migrations_count;

#endif
