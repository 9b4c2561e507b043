#include "controller/services/unknown_members.h"

#include <string.h>

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/cleanup.h"
#include "common/base/nearest.h"

/* A container that is being walked. */
struct frame {
    json_t *value;
    const struct pen_api_shape *shape;
    void *entry;      /* the next entry of an object */
    size_t index;     /* of the next element of a list */
    size_t path_size; /* of the container's own pointer */
};

struct walk {
    struct frame frames[PEN_API_DEPTH_MAX];
    size_t depth;
    struct pen_buf path;
    json_t *list;
};

static void walk_release(struct walk *self)
{
    pen_buf_release(&self->path);
}

/* Look into a value of this shape, if it is a container of its JSON type. */
static void push(struct walk *self, const struct pen_api_shape *shape, json_t *value)
{
    bool is_list = shape->type == PEN_API_LIST;
    bool is_object = shape->type == PEN_API_STRUCTURE || shape->type == PEN_API_MAP;
    if (!(is_list && json_is_array(value)) && !(is_object && json_is_object(value)))
        return;
    CHECK(self->depth < PEN_API_DEPTH_MAX); /* make_catalog.py has measured the shapes */
    self->frames[self->depth++] = (struct frame){
        .value = value,
        .shape = shape,
        .entry = is_object ? json_object_iter(value) : NULL,
        .path_size = self->path.size,
    };
}

/* "/KEY", as RFC 6901 writes it. */
static void put_key(struct walk *self, const struct frame *frame, const char *key)
{
    self->path.size = frame->path_size;
    pen_buf_putc(&self->path, '/');
    for (; *key != 0; key++) {
        if (*key == '~' || *key == '/')
            pen_buf_puts(&self->path, *key == '~' ? "~0" : "~1");
        else
            pen_buf_putc(&self->path, *key);
    }
}

static const struct pen_api_member *member_find(const struct pen_api_shape *shape, const char *name)
{
    for (size_t i = 0; i < shape->members_count; i++) {
        if (strcmp(shape->members[i].name, name) == 0)
            return &shape->members[i];
    }
    return NULL;
}

static int add(struct walk *self, const struct pen_api_shape *shape, const char *key,
               struct pen_error *err)
{
    if (json_array_size(self->list) == PEN_UNKNOWN_MEMBERS_MAX)
        return 0;
    struct pen_nearest nearest = {.word = key};
    for (size_t i = 0; i < shape->members_count; i++)
        pen_nearest_try(&nearest, shape->members[i].name);
    int rc = pen_buf_ok(&self->path, err);
    if (rc < 0)
        return rc;
    json_t *item =
        json_pack("{s:s, s:s*}", "pointer", pen_buf_text(&self->path), "nearest", nearest.best);
    return json_array_append_new(self->list, item) < 0
               ? pen_fail(err, PEN_ENOMEM, "no memory to list unknown members")
               : 0;
}

/* Go on with the container on top. Returns 1 when it is done. */
static int next(struct walk *self, struct frame *frame, struct pen_error *err)
{
    if (frame->shape->type == PEN_API_LIST) {
        if (frame->index == json_array_size(frame->value))
            return 1;
        self->path.size = frame->path_size;
        pen_buf_printf(&self->path, "/%zu", frame->index);
        push(self, frame->shape->element, json_array_get(frame->value, frame->index++));
        return 0;
    }
    if (frame->entry == NULL)
        return 1;
    const char *key = json_object_iter_key(frame->entry);
    json_t *value = json_object_iter_value(frame->entry);
    frame->entry = json_object_iter_next(frame->value, frame->entry);
    put_key(self, frame, key);
    if (frame->shape->type == PEN_API_MAP) {
        push(self, frame->shape->element, value);
        return 0;
    }
    const struct pen_api_member *member = member_find(frame->shape, key);
    if (member == NULL)
        return add(self, frame->shape, key, err);
    push(self, member->shape, value);
    return 0;
}

int pen_api_unknown_members(const struct pen_api_operation *operation, json_t *body,
                            json_t *ret_list, struct pen_error *err)
{
    PEN_CLEANUP(walk_release) struct walk walk = {.list = ret_list};
    if (operation->input != NULL)
        push(&walk, operation->input, body);
    while (walk.depth > 0) {
        int rc = next(&walk, &walk.frames[walk.depth - 1], err);
        if (rc < 0)
            return rc;
        walk.depth -= rc == 1 ? 1 : 0;
    }
    return 0;
}
