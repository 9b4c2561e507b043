#include "common/config/config.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/limits.h"
#include "common/base/str.h"
#include "common/config/value.h"
#include "common/io/file.h"

struct pen_config {
    const struct pen_config_key *keys;
    size_t count;
    struct pen_config_value values[];
};

/* Made without values. */
static struct pen_config *config_new(const struct pen_config_key *keys)
{
    size_t count = 0;
    while (keys[count].name != NULL)
        count++;
    struct pen_config *self = calloc(1, sizeof *self + count * sizeof self->values[0]);
    if (self != NULL) {
        self->keys = keys;
        self->count = count;
    }
    return self;
}

int pen_config_create(const struct pen_config_key *keys, struct pen_config **ret_config,
                      struct pen_error *err)
{
    PEN_CLEANUP(pen_config_destroy) struct pen_config *self = config_new(keys);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the configuration");
    for (size_t i = 0; i < self->count; i++) {
        const struct pen_config_key *key = &keys[i];
        int rc = pen_config_value_set(key, key->default_text, "default", &self->values[i], err);
        if (rc == PEN_ENOMEM)
            return rc;
        CHECK(rc == 0);
    }
    *ret_config = TAKE_PTR(self);
    return 0;
}

void pen_config_destroy(struct pen_config **self_p)
{
    struct pen_config *self = TAKE_PTR(*self_p);
    if (self == NULL)
        return;
    for (size_t i = 0; i < self->count; i++)
        pen_config_value_release(&self->values[i]);
    free(self);
}

/* Index of a key, or count. */
static size_t find(const struct pen_config *self, const char *name)
{
    size_t i = 0;
    while (i < self->count && strcmp(self->keys[i].name, name) != 0)
        i++;
    return i;
}

int pen_config_set(struct pen_config *self, const char *name, const char *text, const char *origin,
                   struct pen_error *err)
{
    size_t i = find(self, name);
    int rc = i == self->count
                 ? pen_fail(err, PEN_ENOTFOUND, "there is no key '%.64s'", name)
                 : pen_config_value_set(&self->keys[i], text, origin, &self->values[i], err);
    if (rc < 0)
        pen_error_prefix(err, "%s", origin);
    return rc;
}

/* ---- the file */

/* A scalar node's text; an error for anything else, and for text with a zero byte in it. */
static int scalar(const yaml_node_t *node, const char **ret_text, struct pen_error *err)
{
    const char *text = (const char *)node->data.scalar.value;
    if (node->type != YAML_SCALAR_NODE)
        return pen_fail(err, PEN_EINVAL, "lists and nested mappings have no meaning here");
    if (strlen(text) != node->data.scalar.length)
        return pen_fail(err, PEN_EINVAL, "a zero byte in the text");
    *ret_text = text;
    return 0;
}

static int pair_load(struct pen_config *changes, yaml_document_t *document,
                     const yaml_node_pair_t *pair, const char *origin, struct pen_error *err)
{
    const char *name = NULL;
    const char *text = NULL;
    int rc = scalar(yaml_document_get_node(document, pair->key), &name, err);
    if (rc < 0)
        return rc;
    size_t i = find(changes, name);
    if (i == changes->count)
        return pen_fail(err, PEN_EINVAL, "there is no key '%.64s'", name);
    if (changes->values[i].text != NULL)
        return pen_fail(err, PEN_EINVAL, "key '%s' is given a second time", name);
    rc = scalar(yaml_document_get_node(document, pair->value), &text, err);
    if (rc < 0) {
        pen_error_prefix(err, "%s", name);
        return rc;
    }
    return pen_config_value_set(&changes->keys[i], text, origin, &changes->values[i], err);
}

static int document_load(struct pen_config *changes, yaml_document_t *document, const char *path,
                         struct pen_error *err)
{
    const yaml_node_t *root = yaml_document_get_root_node(document);
    if (root == NULL)
        return 0; /* an empty file, or one of comments only */
    if (root->type == YAML_SCALAR_NODE && root->data.scalar.length == 0)
        return 0;
    if (root->type != YAML_MAPPING_NODE)
        return pen_fail(err, PEN_EINVAL, "%s:%zu: expected lines of 'key: value'", path,
                        root->start_mark.line + 1);
    for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         pair < root->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(document, pair->key);
        PEN_CLEANUP(pen_free)
        char *origin = pen_strdup_printf("%s:%zu", path, key->start_mark.line + 1);
        if (origin == NULL)
            return pen_fail(err, PEN_ENOMEM, "no memory for the configuration");
        int rc = pair_load(changes, document, pair, origin, err);
        if (rc < 0) {
            pen_error_prefix(err, "%s", origin);
            return rc;
        }
    }
    return 0;
}

/* Parse the text, at most one document. */
static int text_load(struct pen_config *changes, const struct pen_buf *text, const char *path,
                     struct pen_error *err)
{
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0)
        return pen_fail(err, PEN_ENOMEM, "no memory for the configuration");
    yaml_parser_set_input_string(&parser, (const uint8_t *)pen_buf_text(text), text->size);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_document_t document;
    int rc = 0;
    if (yaml_parser_load(&parser, &document) == 0) {
        rc = pen_fail(err, PEN_EINVAL, "%s:%zu: not YAML: %s", path, parser.problem_mark.line + 1,
                      parser.problem == NULL ? "cannot be read" : parser.problem);
    } else {
        rc = document_load(changes, &document, path, err);
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&parser);
    return rc;
}

int pen_config_load(struct pen_config *self, const char *path, struct pen_error *err)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    int rc = pen_file_read(path, PEN_LIMIT_CONFIG_BYTES, &text, err);
    if (rc < 0)
        return rc;
    PEN_CLEANUP(pen_config_destroy) struct pen_config *changes = config_new(self->keys);
    if (changes == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for the configuration");
    rc = text_load(changes, &text, path, err);
    for (size_t i = 0; rc == 0 && i < self->count; i++) {
        if (changes->values[i].text == NULL)
            continue;
        pen_config_value_release(&self->values[i]);
        self->values[i] = changes->values[i];
        changes->values[i] = (struct pen_config_value){0};
    }
    return rc;
}

/* ---- values */

static size_t known(const struct pen_config *self, const char *name)
{
    size_t i = find(self, name);
    CHECK(i < self->count);
    return i;
}

const char *pen_config_text(const struct pen_config *self, const char *name)
{
    size_t i = known(self, name);
    CHECK(self->keys[i].type <= PEN_CONFIG_ADDRESS);
    return self->values[i].text;
}

bool pen_config_flag(const struct pen_config *self, const char *name)
{
    size_t i = known(self, name);
    CHECK(self->keys[i].type == PEN_CONFIG_FLAG);
    return self->values[i].number != 0;
}

int64_t pen_config_number(const struct pen_config *self, const char *name)
{
    size_t i = known(self, name);
    CHECK(self->keys[i].type >= PEN_CONFIG_INTEGER);
    return self->values[i].number;
}

const char *pen_config_origin(const struct pen_config *self, const char *name)
{
    return self->values[known(self, name)].origin;
}

/* ---- printing */

/* Text in lines of at most 76 characters, each after four blanks. */
static void wrap(const char *text, struct pen_buf *ret_text)
{
    size_t column = 0;
    while (*text != 0) {
        size_t word = strcspn(text, " ");
        if (column > 0 && column + 1 + word > 76) {
            pen_buf_putc(ret_text, '\n');
            column = 0;
        }
        pen_buf_puts(ret_text, column == 0 ? "    " : " ");
        pen_buf_append(ret_text, text, word);
        column += word + 1;
        text += word;
        text += strspn(text, " ");
    }
    pen_buf_putc(ret_text, '\n');
}

void pen_config_manual(const struct pen_config_key *keys, struct pen_buf *ret_text)
{
    for (const struct pen_config_key *key = keys; key->name != NULL; key++) {
        pen_buf_printf(ret_text, "%s: ", key->name);
        pen_config_key_describe(key, ret_text);
        pen_buf_putc(ret_text, '\n');
        wrap(key->help, ret_text);
    }
}

void pen_config_print(const struct pen_config *self, struct pen_buf *ret_text)
{
    for (size_t i = 0; i < self->count; i++) {
        const struct pen_config_value *value = &self->values[i];
        pen_buf_printf(ret_text, "%s: ", self->keys[i].name);
        if (self->keys[i].type > PEN_CONFIG_ADDRESS) {
            pen_buf_puts(ret_text, value->text);
        } else { /* single quotes, where only the quote itself is special */
            pen_buf_putc(ret_text, '\'');
            for (const char *at = value->text; *at != 0; at++) {
                pen_buf_putc(ret_text, *at);
                if (*at == '\'')
                    pen_buf_putc(ret_text, '\'');
            }
            pen_buf_putc(ret_text, '\'');
        }
        pen_buf_printf(ret_text, " # %s\n", value->origin);
    }
}
