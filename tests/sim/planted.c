/* tests/sim/planted.c - compiled twice: with the engine that ships, and with the one for planting
 */
#include "tests/sim/planted.h"

#include <stddef.h>

#include "controller/engine/planted.h"
#include "tests/sim/sim.h"

#ifdef PEN_PLANTED_BUGS
enum pen_planted pen_planted = PLANTED_NONE;
#endif

const char *planted_name(int number)
{
    static const char *const names[PLANTED_COUNT] = {
        [PLANTED_FENCE_NOT_COMPARED] = "fence not compared",
        [PLANTED_SECOND_START] = "second start of a once action whose agent is silent",
        [PLANTED_INTERRUPTED_AGAIN] = "second start of a once action that was interrupted",
        [PLANTED_SUPERSEDE_INSIDE] = "superseded inside a stage",
        [PLANTED_LOCK_RELEASED_EARLY] = "stage lock released too early",
        [PLANTED_LOST_EFFECT] = "a fetch is not handed out now and then",
        [PLANTED_RETRY_RERUNS] = "a retry of failed actions runs all again",
        [PLANTED_TIMER_LOST] = "deadlines of approvals lost at a restart",
        [PLANTED_APPROVAL_TOKEN] = "any token approves",
        [PLANTED_EVENT_GAP] = "an event counts though the one before is missing",
        [PLANTED_LOG_NOT_AWAITED] = "success before the log is stored",
        [PLANTED_TOKEN_FORGOTTEN] = "a repeated start starts again",
        [PLANTED_APPROVAL_REMADE] = "an approval is asked for what is made again beside it",
        [PLANTED_ZONE_FORGOTTEN] = "no zone is asked for again after a restart",
        [PLANTED_DELIVERY_FORGOTTEN] = "a delivery that is repeated starts again",
        [PLANTED_REVISION_FORGOTTEN] = "a revision that is announced again starts again",
        [PLANTED_SILENCE_COUNTED] = "silence counts while the controller is stopped",
        [PLANTED_REST_FORGOTTEN] = "what waited for a month goes on by itself",
        [PLANTED_DATA_LEFT_OPEN] = "some attempts are open for data for ever",
        [PLANTED_PULL_FORGOTTEN] = "pull requests are forgotten at a restart",
        [PLANTED_WAY_BACK_FORGOTTEN] = "history goes that a rollback could take",
        [PLANTED_PURGE_FORGOTTEN] = "removed history is not purged after a restart",
        [PLANTED_REF_FORGOTTEN] = "what was seen of some refs is forgotten",
        [PLANTED_BESIDE_ABANDONED] = "a once action begins beside abandoned work of its own",
        [PLANTED_ABANDONED_FORGOTTEN] = "abandoned once work is taken as over when it is silent",
        [PLANTED_TIMEOUT_UNKEPT] = "time-outs are left to the agents",
        [PLANTED_WORD_OF_ANOTHER] = "what an agent says of another's attempt counts",
        [PLANTED_CLOCK_BELIEVED] = "a window opens though the clock is behind",
    };
    if (number > 0 && number < PLANT_COUNT)
        return sim_plant_name((enum sim_plant)number);
    int bug = number - (PLANT_COUNT - 1);
    return bug > 0 && bug < PLANTED_COUNT ? names[bug] : NULL;
}

bool planted_select(int number)
{
    if (number > 0 && number < PLANT_COUNT)
        return true;
    if (planted_name(number) == NULL)
        return false;
#ifdef PEN_PLANTED_BUGS
    pen_planted = (enum pen_planted)(number - (PLANT_COUNT - 1));
    return true;
#else
    return false;
#endif
}
