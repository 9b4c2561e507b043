/* tests/sim/auditor_approval.c - APPROVAL (13): a yes counts for what its person saw
 *
 *     asked for (revisions, artifacts) -> a person looks -> ... -> says yes -> applied
 *
 * In between the stage can be retried, and what was looked at is made again. What there was at each
 * of these moments is kept here from the results of actions; the engine is not asked. What comes
 * from beside the approval and was not there yet changes nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/str.h"
#include "tests/sim/auditor.h"

/* ---- what an execution has */

static uint64_t mix(uint64_t hash, const void *bytes, size_t size)
{
    const uint8_t *byte = bytes;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ byte[i]) * UINT64_C(1099511628211);
    return hash;
}

void auditor_made(struct sim *sim, const struct seen_action *action, const Pen__ActionEnded *body)
{
    struct seen_execution *execution = auditor_execution(sim, action->execution_id);
    uint64_t made = 14695981039346656037u;
    for (size_t i = 0; i < body->n_outputs; i++)
        made = mix(made, body->outputs[i]->artifact->manifest_sha256.data,
                   body->outputs[i]->artifact->manifest_sha256.len);
    const char *revision = body->revision == NULL ? NULL : body->revision->revision_id;
    if (revision != NULL)
        made = mix(made, revision, strlen(revision));
    if (body->n_outputs == 0 && revision == NULL)
        return;
    for (size_t s = 0; s < execution->declaration->n_stages; s++)
        for (size_t i = 0; i < SEEN_ACTIONS; i++)
            if (execution->stages[s].actions[i] == action)
                execution->made.of[s][i] = made;
}

void auditor_view(struct sim *sim, const char *execution_id, struct seen_view *ret_view)
{
    *ret_view = auditor_execution(sim, execution_id)->made;
}

/* All that was there is there unchanged. */
static bool still(const struct seen_view *view, const struct seen_view *now)
{
    for (size_t s = 0; s < SEEN_STAGES; s++)
        for (size_t i = 0; i < SEEN_ACTIONS; i++)
            if (view->of[s][i] != 0 && view->of[s][i] != now->of[s][i])
                return false;
    return true;
}

/* ---- what people say */

static struct seen_token *token_of(struct auditor *self, const char *text)
{
    struct seen_token *token = pen_map_get(&self->tokens, pen_key_text(text));
    if (token == NULL) {
        token = mem_zero(sizeof *token);
        token->token = mem_text(text);
        mem_put(&self->tokens, pen_key_text(token->token), token);
    }
    return token;
}

void auditor_asked(struct sim *sim, const char *text, bool approve, const struct seen_view *view)
{
    struct seen_token *token = token_of(sim->auditor, text);
    token->no = token->no || !approve;
    if (!approve)
        return;
    token->yes = token->yes || approve;
    token->views[token->views_count++ % SEEN_VIEWS] = *view;
}

static bool saw_it(const struct seen_token *token, const struct seen_view *now)
{
    for (size_t i = 0; i < token->views_count && i < SEEN_VIEWS; i++)
        if (still(&token->views[i], now))
            return true;
    return false;
}

/* An approval is asked for what there is, never for what its stage is about to make again. */
void auditor_check_question(struct sim *sim, const struct seen_execution *execution,
                            const Pen__ActionExecutionRow *row)
{
    for (size_t i = 0; i < row->n_approves; i++) {
        const Pen__ProducedArtifact *artifact = row->approves[i];
        if (!pen_str_equal(artifact->stage, row->stage))
            continue;
        int index = auditor_stage_index(sim, execution, row->stage);
        const Pen__StageDeclaration *stage = execution->declaration->stages[index];
        for (size_t k = 0; k < stage->n_actions; k++)
            if (pen_str_equal(stage->actions[k]->name, artifact->action) &&
                execution->made.of[index][k] == 0)
                sim_fail(sim, "APPROVAL: action %s is asked for what %s has yet to make", row->id,
                         artifact->action);
    }
}

/* A yes is the word of a person about this very token, in time and for the first time. */
void auditor_check_approval(struct sim *sim, const Pen__Fact *fact,
                            const struct seen_action *action)
{
    Pen__ActionStatus status = fact->action_ended->status;
    if (!auditor_by_person(fact) && status != PEN__ACTION_STATUS__ACTION_SUCCEEDED)
        return;
    if (status == PEN__ACTION_STATUS__ACTION_ABANDONED)
        return;
    struct seen_token *token = pen_map_get(&sim->auditor->tokens, pen_key_text(action->token));
    bool yes = status == PEN__ACTION_STATUS__ACTION_SUCCEEDED;
    if (token == NULL || token->used || !(yes ? token->yes : token->no) ||
        fact->at_ms >= action->deadline_ms)
        sim_fail(sim, "APPROVAL: action %s is %s, and nobody has said so", action->id,
                 yes ? "approved" : "rejected");
    token->used = true;
    const struct seen_view *now = &auditor_execution(sim, action->execution_id)->made;
    if (yes && (!still(&action->asked, now) || !saw_it(token, now)))
        sim_fail(sim, "APPROVAL: action %s is approved, and what %s has been made again since",
                 action->id, still(&action->asked, now) ? "was looked at" : "it was asked for");
}
