#include "controller/model/places.h"

#include <stdlib.h>

int pen_places_create(const Pen__PipelineDeclaration *declaration, struct pen_places **ret_places,
                      struct pen_error *err)
{
    size_t count = 0;
    for (size_t i = 0; i < declaration->n_stages; i++)
        count += declaration->stages[i]->n_actions;
    struct pen_places *self = malloc(sizeof *self + count * sizeof self->items[0]);
    if (self == NULL)
        return pen_fail(err, PEN_ENOMEM, "no memory for %zu actions", count);
    self->count = 0;
    for (size_t i = 0; i < declaration->n_stages; i++) {
        const Pen__StageDeclaration *stage = declaration->stages[i];
        for (size_t j = 0; j < stage->n_actions; j++) {
            const Pen__ActionDeclaration *action = stage->actions[j];
            self->items[self->count++] = (struct pen_place){
                .stage = stage,
                .action = action,
                .stage_index = i,
                .run_order = action->has_run_order ? action->run_order : 1,
            };
        }
    }
    *ret_places = self;
    return 0;
}

void pen_places_destroy(struct pen_places **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

bool pen_place_before(const struct pen_place *a, const struct pen_place *b)
{
    if (a->stage_index != b->stage_index)
        return a->stage_index < b->stage_index;
    return a->run_order < b->run_order;
}
