/* controller/engine/out.c - facts, rows and effects on their way out */
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "controller/engine/apply.h"
#include "controller/engine/state.h"

/* Room for one more of a doubling array. */
static void *room(void *array, size_t count, size_t *capacity, size_t item_size)
{
    if (count < *capacity)
        return array;
    *capacity = *capacity == 0 ? 16 : *capacity * 2;
    void *grown = realloc(array, *capacity * item_size);
    if (grown == NULL)
        UNREACHABLE("out of memory; the store has the truth, a restart loads it");
    return grown;
}

/* ---- facts */

void emit(struct pen_engine *engine, const char *pipeline, const char *execution_id,
          Pen__Fact__WhatCase what, void *body)
{
    CHECK(engine->out != NULL && !engine->folding);
    Pen__Fact *fact = MAKE(Pen__Fact, pen__fact__init);
    uint64_t last = engine->setting != NULL ? engine->setting->row->last_fact_seq : 0;
    SET(fact, seq, last + 1);
    SET(fact, at_ms, engine->now_ms);
    fact->by = mem_text(engine->by);
    fact->pipeline = mem_text(pipeline);
    fact->execution_id = mem_text(execution_id);
    fact->what_case = what;
    fact->pipeline_created = body; /* a union of pointers: what_case says to what */

    struct pen_engine_out *out = engine->out;
    out->facts = room(out->facts, out->facts_count, &out->facts_capacity, sizeof(Pen__Fact *));
    out->facts[out->facts_count++] = fact;

    struct pen_error err;
    if (apply(engine, fact, &err) < 0)
        pen_check_failed(err.message, __FILE__, __LINE__);
}

void emit_about(struct pen_engine *engine, const struct execution *execution,
                Pen__Fact__WhatCase what, void *body)
{
    emit(engine, execution->row->pipeline, execution->row->id, what, body);
}

/* ---- effects */

void effect(struct pen_engine *engine, Pen__Effect__WhatCase what, void *body)
{
    struct pen_engine_out *out = engine->out;
    CHECK(out != NULL);
    Pen__Effect *self = MAKE(Pen__Effect, pen__effect__init);
    self->what_case = what;
    self->reply = body; /* a union of pointers */
    out->effects =
        room(out->effects, out->effects_count, &out->effects_capacity, sizeof(Pen__Effect *));
    out->effects[out->effects_count++] = self;
}

/* ---- rows */

static size_t text_size(const char *text)
{
    return text == NULL ? 0 : strlen(text) + 1;
}

/* Copies text to *place_p and moves on; NULL stays NULL. */
static char *put_text(char **place_p, const char *text)
{
    if (text == NULL)
        return NULL;
    size_t size = text_size(text);
    char *copy = memcpy(*place_p, text, size);
    *place_p += size;
    return copy;
}

void row_pack(struct packer *packer, const struct entity *self, struct pen_row *ret_row)
{
    ProtobufCBinaryData body = {0};
    struct pen_row row = {
        .kind = self->kind, .order = self->order, .live = self->live, .deleted = self->deleted};
    if (!self->deleted)
        body = packer_pack(packer, self->message);
    char *place = mem_take(text_size(self->key) + text_size(self->pipeline) +
                           text_size(self->execution) + body.len);
    row.key = put_text(&place, self->key);
    row.pipeline = put_text(&place, self->pipeline);
    row.execution = put_text(&place, self->execution);
    if (!self->deleted) {
        row.body = (uint8_t *)place;
        row.body_size = body.len;
        if (body.len > 0)
            memcpy(row.body, body.data, body.len);
    }
    *ret_row = row;
}

void row_release(struct pen_row *self)
{
    free(self->key); /* the whole block */
    *self = (struct pen_row){0};
}

/* Where the row of this key stands in `out`, if it does. An entity remembers its own place; one
 * that has left memory is remembered by its key, because another of the same key may be made after
 * it (a pipeline that is deleted and created again, all before one commit). */
static bool find_place(const struct pen_engine *engine, const struct entity *self,
                       const struct pen_engine_out *out, size_t *ret_index)
{
    if (self->out_generation == out->generation) {
        *ret_index = self->out_index;
        return true;
    }
    if (engine->written_dead.count == 0)
        return false;
    const void *found =
        pen_map_get(&engine->written_dead, (struct pen_key){(uint64_t)self->kind, self->key});
    if (found == NULL)
        return false;
    *ret_index = (size_t)((uintptr_t)found - 1);
    return true;
}

static void write_row(struct pen_engine *engine, struct entity *self, struct pen_engine_out *out)
{
    size_t index;
    if (find_place(engine, self, out, &index)) {
        CHECK(index < out->rows_count);
        (void)pen_map_remove(&engine->written_dead,
                             (struct pen_key){(uint64_t)self->kind, self->key});
        row_release(&out->rows[index]);
    } else {
        out->rows = room(out->rows, out->rows_count, &out->rows_capacity, sizeof(struct pen_row));
        index = out->rows_count++;
    }
    self->out_generation = out->generation;
    self->out_index = index;
    row_pack(&engine->packer, self, &out->rows[index]);
    if (self->dead)
        mem_put(&engine->written_dead, (struct pen_key){(uint64_t)self->kind, out->rows[index].key},
                (void *)(uintptr_t)(index + 1));
}

void flush_rows(struct pen_engine *engine, struct pen_engine_out *out)
{
    if (out != NULL && out->generation == 0)
        out->generation = ++engine->last_generation;
    if (out != NULL && out->generation != engine->written_generation) {
        pen_map_release(&engine->written_dead);
        engine->written_generation = out->generation;
    }
    struct entity *self = engine->dirty_first;
    engine->dirty_first = engine->dirty_last = NULL;
    while (self != NULL) {
        struct entity *next = self->next_dirty;
        self->dirty = false;
        self->next_dirty = NULL;
        if (out != NULL)
            write_row(engine, self, out);
        if (self->dead)
            entity_destroy(self);
        self = next;
    }
}

/* Facts and effects are a choice of many bodies: going through all of their fields costs more than
 * freeing the one. */
static void fact_destroy(Pen__Fact *self)
{
    free(self->by);
    free(self->pipeline);
    free(self->execution_id);
    mem_free_message(self->pipeline_created); /* a union of pointers */
    free(self);
}

static void effect_destroy(Pen__Effect *self)
{
    mem_free_message(self->reply); /* a union of pointers */
    free(self);
}

void pen_engine_out_clear(struct pen_engine_out *self)
{
    for (size_t i = 0; i < self->facts_count; i++)
        fact_destroy(self->facts[i]);
    for (size_t i = 0; i < self->rows_count; i++)
        row_release(&self->rows[i]);
    for (size_t i = 0; i < self->effects_count; i++)
        effect_destroy(self->effects[i]);
    self->facts_count = self->rows_count = self->effects_count = 0;
    self->generation = 0;
}

void pen_engine_out_release(struct pen_engine_out *self)
{
    pen_engine_out_clear(self);
    free(self->facts);
    free(self->rows);
    free(self->effects);
    *self = (struct pen_engine_out){0};
}
