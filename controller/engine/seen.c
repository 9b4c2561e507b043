/* controller/engine/seen.c - what was seen of the sources: revisions, branches, tags, pull requests
 *
 * All that the engine was told of a repository is in its rows, so that it is as durable as what
 * followed from it: told again after a restart it starts nothing, however much of it there is.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/str.h"
#include "controller/engine/seen.h"
#include "controller/model/providers.h"

/* ---- sources */

const Pen__ActionDeclaration *find_source(const struct pipeline *pipeline, const char *stage,
                                          const char *action)
{
    const Pen__PipelineDeclaration *declaration = pipeline->current->row->declaration;
    for (size_t i = 0; i < declaration->n_stages; i++) {
        if (!pen_str_equal(declaration->stages[i]->name, stage))
            continue;
        int index = action_index(declaration->stages[i], action);
        if (index >= 0 &&
            pen_str_equal(declaration->stages[i]->actions[index]->action_type_id->category,
                          "Source"))
            return declaration->stages[i]->actions[index];
    }
    return NULL;
}

const Pen__GitConfiguration *trigger_of(const struct pipeline *pipeline, const char *action)
{
    const Pen__PipelineDeclaration *declaration = pipeline->current->row->declaration;
    for (size_t i = 0; i < declaration->n_triggers; i++) {
        const Pen__GitConfiguration *git = declaration->triggers[i]->git_configuration;
        if (git != NULL && pen_str_equal(git->source_action_name, action))
            return git;
    }
    return NULL;
}

bool source_is_of(const struct pipeline *pipeline, const Pen__WatchedSource *watched)
{
    const Pen__ActionDeclaration *source = find_source(pipeline, watched->stage, watched->action);
    return source != NULL && trigger_of(pipeline, watched->action) != NULL &&
           pen_str_equal(pen_action_configuration(source, "ConnectionArn"),
                         watched->connection_arn) &&
           pen_str_equal(pen_action_configuration(source, "FullRepositoryId"),
                         watched->repository_id);
}

/* ---- what was seen of them */

Pen__SeenRevision *find_seen(const struct pipeline *pipeline, const char *stage, const char *action,
                             const char *ref_name)
{
    for (size_t i = 0; i < pipeline->row->n_seen; i++)
        if (pen_str_equal(pipeline->row->seen[i]->stage, stage) &&
            pen_str_equal(pipeline->row->seen[i]->action, action) &&
            pen_str_equal(pipeline->row->seen[i]->ref_name, ref_name))
            return pipeline->row->seen[i];
    return NULL;
}

Pen__WatchedSource *find_watched(const struct pipeline *pipeline, const char *stage,
                                 const char *action)
{
    for (size_t i = 0; i < pipeline->row->n_watched; i++)
        if (pen_str_equal(pipeline->row->watched[i]->stage, stage) &&
            pen_str_equal(pipeline->row->watched[i]->action, action))
            return pipeline->row->watched[i];
    return NULL;
}

bool ref_is_pushed(const char *name)
{
    return pen_str_starts_with(name, "refs/heads/") || pen_str_starts_with(name, "refs/tags/");
}

uint32_t seen_part(const char *name)
{
    uint32_t digest = 2166136261U; /* FNV-1a: rows on disk rely on it */
    for (const char *at = name; *at != '\0'; at++)
        digest = (digest ^ (unsigned char)*at) * 16777619U;
    return digest % PEN_LIMIT_SEEN_PARTS;
}

struct seen_refs *find_part(const struct pipeline *pipeline, const char *stage, const char *action,
                            const char *ref_name)
{
    char *key =
        mem_format("%s/%s/%s/%02u", pipeline->row->name, stage, action, seen_part(ref_name));
    struct seen_refs *part = pen_map_get(&pipeline->refs, pen_key_text(key));
    free(key);
    return part;
}

size_t seen_place(const Pen__SeenRefsRow *row, const char *name, bool *ret_found)
{
    size_t from = 0;
    size_t to = row->n_refs;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (strcmp(row->refs[middle]->name, name) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    *ret_found = from < row->n_refs && strcmp(row->refs[from]->name, name) == 0;
    return from;
}

const char *seen_revision(const struct pipeline *pipeline, const char *stage, const char *action,
                          const char *ref_name)
{
    if (ref_name != NULL && pen_str_starts_with(ref_name, "refs/")) {
        const struct seen_refs *part = find_part(pipeline, stage, action, ref_name);
        bool found = false;
        size_t place = part == NULL ? 0 : seen_place(part->row, ref_name, &found);
        if (found)
            return part->row->refs[place]->revision_id;
    }
    /* Rows of an older release have refs here, too. */
    const Pen__SeenRevision *seen = find_seen(pipeline, stage, action, ref_name);
    return seen != NULL ? seen->revision_id : NULL;
}
