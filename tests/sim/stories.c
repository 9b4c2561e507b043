/* tests/sim/stories.c - the stories that are told with a fault at every point */
#include <string.h>

#include "tests/sim/story.h"

#define RUNNING    PEN__EXECUTION_STATUS__EXECUTION_IN_PROGRESS
#define SUCCEEDED  PEN__EXECUTION_STATUS__EXECUTION_SUCCEEDED
#define FAILED     PEN__EXECUTION_STATUS__EXECUTION_FAILED
#define STOPPED    PEN__EXECUTION_STATUS__EXECUTION_STOPPED
#define SUPERSEDED PEN__EXECUTION_STATUS__EXECUTION_SUPERSEDED

const struct story_plan story_plans[] = {
    {
        .name = "deploy",
        .mode = "SUPERSEDED",
        .stages = "Source:S=source|Build:A=made|Deploy:D=once",
        .ends = {SUCCEEDED},
    },
    {
        .name = "side-by-side",
        .mode = "SUPERSEDED",
        .stages = "Source:S=source|Build:A=made,B=made,C=run@2|Deploy:D=once,E=once",
        .ends = {SUCCEEDED},
    },
    {
        .name = "approval",
        .mode = "SUPERSEDED",
        .stages = "Source:S=source|Ok:P=approve|Deploy:D=once",
        .steps = {{.when = WHEN_APPROVAL, .deed = DEED_APPROVE}},
        .ends = {SUCCEEDED},
    },
    {
        .name = "nobody-approves",
        .mode = "SUPERSEDED",
        .stages = "Source:S=source|Build:A=run|Ok:P=expire|Deploy:D=once",
        .ends = {FAILED},
    },
    {
        .name = "stop",
        .mode = "SUPERSEDED",
        .stages = "Source:S=source|Build:A=run|Deploy:D=once",
        .steps = {{.when = WHEN_RUNS, .action = "A", .deed = DEED_STOP}},
        .ends = {STOPPED},
    },
    {
        .name = "abandon",
        .mode = "SUPERSEDED",
        .stages = "Source:S=source|Build:A=run|Deploy:D=once",
        .steps = {{.when = WHEN_RUNS, .action = "A", .deed = DEED_ABANDON}},
        .ends = {STOPPED},
    },
    {
        .name = "given-up",
        .mode = "SUPERSEDED",
        .stages = "Source:S=source|Deploy:D=once",
        .steps = {{.when = WHEN_RUNS, .action = "D", .deed = DEED_ABANDON},
                  {.when = WHEN_STATUS, .status = STOPPED, .deed = DEED_START}},
        .ends = {STOPPED, SUCCEEDED},
    },
    {
        .name = "given-up-in-silence",
        .mode = "SUPERSEDED",
        .stages = "Source:S=source|Deploy:L=once",
        .steps = {{.when = WHEN_RUNS, .action = "L", .deed = DEED_PART},
                  {.when = WHEN_EXISTS, .deed = DEED_ABANDON},
                  {.when = WHEN_STATUS, .status = STOPPED, .deed = DEED_START}},
        .ends = {STOPPED, SUCCEEDED},
    },
    {
        .name = "killed",
        .mode = "SUPERSEDED",
        .stages = "Source:S=source|Deploy:D=once",
        .steps = {{.when = WHEN_RUNS, .action = "D", .deed = DEED_KILL}},
        .ends = {STOPPED},
    },
    {
        .name = "retry",
        .mode = "SUPERSEDED",
        .stages = "Source:S=source|Build:A=run,F=run|Deploy:D=once",
        .steps = {{.when = WHEN_STATUS, .status = FAILED, .deed = DEED_RETRY, .where = "Build"}},
        .ends = {SUCCEEDED},
    },
    {
        .name = "rollback",
        .mode = "SUPERSEDED",
        .stages = "Source:S=source|Deploy:D=once",
        .steps = {{.when = WHEN_STATUS, .status = SUCCEEDED, .deed = DEED_START},
                  {.when = WHEN_STATUS,
                   .execution = 1,
                   .status = SUCCEEDED,
                   .deed = DEED_ROLL_BACK,
                   .where = "Deploy"}},
        .ends = {SUCCEEDED, SUCCEEDED, SUCCEEDED},
    },
    {
        .name = "queue",
        .mode = "QUEUED",
        .stages = "Source:S=source|Build:A=run|Deploy:D=once",
        .steps = {{.when = WHEN_EXISTS, .deed = DEED_START},
                  {.when = WHEN_EXISTS, .execution = 1, .deed = DEED_START}},
        .ends = {SUCCEEDED, SUCCEEDED, SUCCEEDED},
    },
    {
        .name = "abreast",
        .mode = "PARALLEL",
        .stages = "Source:S=source|Build:A=run|Deploy:D=once",
        .steps = {{.when = WHEN_EXISTS, .deed = DEED_START},
                  {.when = WHEN_EXISTS, .execution = 1, .deed = DEED_START}},
        .ends = {SUCCEEDED, SUCCEEDED, SUCCEEDED},
    },
    {
        .name = "overtaken",
        .mode = "SUPERSEDED",
        .stages = "Source:S=source|Deploy:D=once",
        .steps =
            {{.when = WHEN_STATUS, .status = SUCCEEDED, .deed = DEED_FREEZE, .where = "Deploy"},
             {.when = WHEN_EXISTS, .deed = DEED_START},
             {.when = WHEN_WAITS, .execution = 1, .deed = DEED_PUSH},
             {.when = WHEN_STATUS,
              .execution = 1,
              .status = SUPERSEDED,
              .deed = DEED_THAW,
              .where = "Deploy"}},
        .ends = {SUCCEEDED, SUPERSEDED, SUCCEEDED},
    },
    {
        .name = "reconnect",
        .mode = "SUPERSEDED",
        .stages = "Source:S=source|Build:A=made|Deploy:D=once",
        .steps = {{.when = WHEN_RUNS, .action = "A", .deed = DEED_CUT},
                  {.when = WHEN_RUNS, .action = "D", .deed = DEED_CUT}},
        .ends = {SUCCEEDED},
    },
    {
        .name = "big-outputs",
        .mode = "SUPERSEDED",
        .stages = "Source:S=source|Build:A=made,B=made,C=made",
        .ends = {SUCCEEDED},
    },
    {.name = NULL},
};

const struct story_plan *story_find(const char *name)
{
    for (const struct story_plan *plan = story_plans; name != NULL && plan->name != NULL; plan++)
        if (strcmp(plan->name, name) == 0)
            return plan;
    return NULL;
}
