#include "cli/ini.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "common/io/file.h"

/* Pointers into text. A section's own line is an entry without a key. */
struct entry {
    const char *section;
    const char *key;
    const char *value;
};

struct pen_ini {
    struct pen_buf text;
    struct entry *entries;
    size_t count;
};

void pen_ini_destroy(struct pen_ini **self_p)
{
    struct pen_ini *self = TAKE_PTR(*self_p);
    if (self == NULL)
        return;
    pen_buf_release(&self->text);
    free(self->entries);
    free(self);
}

/* Cut blanks at both ends, in place. */
static char *trim(char *text)
{
    text += strspn(text, " \t\r");
    size_t length = strlen(text);
    while (length > 0 && strchr(" \t\r", text[length - 1]) != NULL)
        text[--length] = 0;
    return text;
}

static int line_parse(struct pen_ini *self, char *line, const char **section, struct pen_error *err)
{
    char *text = trim(line);
    struct entry *entry = &self->entries[self->count];
    if (text[0] == 0 || text[0] == '#' || text[0] == ';')
        return 0;
    if (text[0] == '[') {
        char *end = strchr(text, ']');
        if (end == NULL)
            return pen_fail(err, PEN_EINVAL, "a section has no ']'");
        *end = 0;
        char *name = trim(text + 1);
        if (pen_str_starts_with(name, "profile "))
            name = trim(name + strlen("profile "));
        *section = name;
        *entry = (struct entry){.section = name};
    } else {
        char *equals = strchr(text, '=');
        if (equals == NULL)
            return pen_fail(err, PEN_EINVAL, "expected 'key = value'");
        *equals = 0;
        *entry = (struct entry){*section, trim(text), trim(equals + 1)};
    }
    self->count++;
    return 0;
}

static int text_parse(struct pen_ini *self, const char *path, struct pen_error *err)
{
    char *at = (char *)self->text.data;
    size_t lines = 1;
    for (size_t i = 0; i < self->text.size; i++)
        lines += at[i] == '\n' ? 1 : 0;
    self->entries = calloc(lines, sizeof *self->entries);
    if (self->entries == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to read '%s'", path);
    const char *section = "";
    for (size_t number = 1; at != NULL && *at != 0; number++) {
        char *end = strchr(at, '\n');
        if (end != NULL)
            *end = 0;
        int rc = line_parse(self, at, &section, err);
        if (rc < 0) {
            pen_error_prefix(err, "%s:%zu", path, number);
            return rc;
        }
        at = end == NULL ? NULL : end + 1;
    }
    return 0;
}

int pen_ini_load(const char *path, struct pen_ini **ret_ini, struct pen_error *err)
{
    PEN_CLEANUP(pen_ini_destroy) struct pen_ini *self = calloc(1, sizeof *self);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory to read '%s'", path);
    int rc = pen_file_read(path, PEN_LIMIT_CONFIG_BYTES, &self->text, err);
    if (rc == 0)
        rc = text_parse(self, path, err);
    if (rc < 0)
        return rc;
    *ret_ini = TAKE_PTR(self);
    return 0;
}

const char *pen_ini_get(const struct pen_ini *self, const char *section, const char *key)
{
    const char *value = NULL;
    for (size_t i = 0; i < self->count; i++) {
        const struct entry *entry = &self->entries[i];
        if (entry->key != NULL && strcmp(entry->section, section) == 0 &&
            strcmp(entry->key, key) == 0)
            value = entry->value; /* the last one counts */
    }
    return pen_str_empty(value) ? NULL : value;
}

const char *pen_ini_unknown(const struct pen_ini *self, const char *const *keys)
{
    for (size_t i = 0; i < self->count; i++) {
        const struct entry *entry = &self->entries[i];
        const char *const *known = keys;
        if (entry->key == NULL || entry->section[0] != 0)
            return entry->section;
        while (*known != NULL && strcmp(*known, entry->key) != 0)
            known++;
        if (*known == NULL)
            return entry->key;
    }
    return NULL;
}

bool pen_ini_has_section(const struct pen_ini *self, const char *section)
{
    for (size_t i = 0; i < self->count; i++) {
        if (self->entries[i].key == NULL && strcmp(self->entries[i].section, section) == 0)
            return true;
    }
    return false;
}
