/* tests/golden/golden.h - stories about the engine: commands in, a trace out
 *
 *     scenario file --> golden.c --> story.c, author.c --> the engine in its small world
 *                         ^                                     | facts, replies, effects
 *                         '-- compares with what the file says -- tell.c
 *
 * README.md beside this file describes the language of the scenarios.
 */
#ifndef PEN_TESTS_GOLDEN_GOLDEN_H
#define PEN_TESTS_GOLDEN_GOLDEN_H

#define PEN_WORLD_SIMULATED
#include "tests/unit/engine/world.h"

#include "common/base/buf.h"

enum { STORY_WORDS = 64, STORY_DECLARED = 8, STORY_WORKERS = 4 };

/* An id and what the trace calls it. */
struct alias {
    char *id;
    char *name;
};

/* A job worker, with the job that it was given last. */
struct worker {
    char *name;
    char *job_id;
    char *nonce;
};

struct story {
    struct world world; /* first: the world's hooks find the story by it */
    struct pen_buf trace;
    struct alias *aliases;
    size_t aliases_count;
    size_t executions; /* started so far */
    size_t facts_told;
    bool with_attempts; /* tell attempts, too */
    bool with_progress; /* tell the summaries of actions in progress, too */
    Pen__PipelineDeclaration *declared[STORY_DECLARED];
    size_t declared_count;
    Pen__PipelineDeclaration *current; /* of declared: the one that commands are about */
    struct alias *kept;                /* approval tokens: name is the word, id the token */
    size_t kept_count;
    struct worker workers[STORY_WORKERS];
    size_t workers_count;
    size_t jobs_told;
    const char *file;
    int line;
};

/* One command line, cut into words. */
struct command {
    char *text; /* what the words lie in */
    char *words[STORY_WORDS];
    size_t count;
};

/* ---- golden.c */

/* The scenario itself is wrong: say where, and end. */
_Noreturn void story_wrong(const struct story *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The word at index; the scenario is wrong when there is none. */
const char *command_word(const struct story *self, const struct command *command, size_t index);

/* The value of a word "name=value" from index 1 on; NULL when there is none. */
const char *command_value(const struct command *command, const char *name);

/* ---- author.c: pipelines as a scenario writes them */

/* Whether the verb was one of a pipeline's author, and is done. */
bool author_perform(struct story *self, const struct command *command);
void author_release(struct story *self);

/* ---- workers.c: job workers and custom action types */

bool worker_perform(struct story *self, const struct command *command);
void worker_release(struct story *self);
void tell_job(struct story *self, const Pen__Fact *fact);

/* The type that "Build/Mill/1" names. */
Pen__ActionTypeId *worker_type(const struct story *self, const char *text);

/* pen_model_validate_with the custom types that there are. */
int worker_validate(struct story *self, const Pen__PipelineDeclaration *declaration,
                    struct pen_error *err);

/* ---- hooks.c: webhooks and announced revisions */

bool hook_perform(struct story *self, const struct command *command);
void tell_hook(struct story *self, const Pen__Fact *fact);

/* ---- story.c: what happens */

void story_begin(struct story *self, const char *file, bool restart_always);
void story_perform(struct story *self, const struct command *command);
void story_end(struct story *self);

/* ---- tell.c: facts, replies and rows as lines */

void tell_facts(struct story *self);
void tell_effect(struct story *self, const Pen__Effect *effect);
void tell_reply(struct story *self);
void tell_reasons(struct story *self);
void tell_work(struct story *self);

/* The pipeline as GetPipelineState shows it, an execution as GetPipelineExecution and
 * ListActionExecutions do. */
void tell_state(struct story *self, const char *pipeline);
void tell_execution(struct story *self, const char *id);

/* One line of the trace, at this time; ids are replaced by their names. */
void tell(struct story *self, int64_t at_ms, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Remember a name. Takes name. */
void tell_alias(struct story *self, const char *id, char *name);

/* The id behind a name, or the word itself. */
const char *tell_id(const struct story *self, const char *name);

#endif
