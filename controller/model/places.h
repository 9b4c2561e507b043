/* controller/model/places.h - where each action of a declaration stands in the order of running */
#ifndef PEN_CONTROLLER_MODEL_PLACES_H
#define PEN_CONTROLLER_MODEL_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "pipeline.pb-c.h"

struct pen_place {
    const Pen__StageDeclaration *stage;
    const Pen__ActionDeclaration *action; /* NULL: a place before or behind the stage's actions */
    size_t stage_index;
    int32_t run_order; /* 1 when the declaration gives none */
};

/* Places of all actions, in the order of the declaration, which has to outlive them; free with
 * pen_places_destroy. Errors: PEN_ENOMEM. */
struct pen_places {
    size_t count;
    struct pen_place items[];
};

int pen_places_create(const Pen__PipelineDeclaration *declaration, struct pen_places **ret_places,
                      struct pen_error *err);
void pen_places_destroy(struct pen_places **self_p);

/* Whether a has ended for certain when b begins: an earlier stage, or a lower run order. */
bool pen_place_before(const struct pen_place *a, const struct pen_place *b);

#endif
