/* controller/retention/marks.h: whatever a row names is kept, and nothing is missed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "controller/retention/marks.h"

/* ---- no field of a row that holds an artifact is forgotten */

/* Append the paths from this message to every ArtifactRef below it. */
static void list_artifacts(const ProtobufCMessageDescriptor *type, const char *path,
                           struct pen_buf *ret_paths)
{
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        char longer[256];
        (void)snprintf(longer, sizeof longer, "%s.%s", path, field->name);
        if (field->descriptor == &pen__artifact_ref__descriptor)
            pen_buf_printf(ret_paths, "%s\n", longer);
        else
            list_artifacts(field->descriptor, longer, ret_paths);
    }
}

/* A new path here needs a line in marks.c, and a row kind of its own one in sweep.c. */
static void test_all_artifacts_of_rows_are_known(void **state)
{
    (void)state;
    static const ProtobufCMessageDescriptor *const rows[] = {&pen__setting_row__descriptor,
                                                             &pen__pipeline_row__descriptor,
                                                             &pen__pipeline_version_row__descriptor,
                                                             &pen__stage_state_row__descriptor,
                                                             &pen__execution_row__descriptor,
                                                             &pen__stage_execution_row__descriptor,
                                                             &pen__action_execution_row__descriptor,
                                                             &pen__attempt_row__descriptor,
                                                             &pen__agent_row__descriptor,
                                                             &pen__token_row__descriptor,
                                                             &pen__request_token_row__descriptor,
                                                             &pen__repository_row__descriptor,
                                                             &pen__connection_row__descriptor,
                                                             &pen__access_key_row__descriptor,
                                                             &pen__rule_execution_row__descriptor,
                                                             &pen__webhook_row__descriptor,
                                                             &pen__action_type_row__descriptor,
                                                             &pen__job_row__descriptor,
                                                             &pen__seen_refs_row__descriptor,
                                                             &pen__removal_row__descriptor,
                                                             &pen__collection_row__descriptor};
    /* A new kind of row has to be in the list above; one that belongs to executions has to be in
     * parts_of_execution of controller/store/store.c, too, or history leaves it behind. The work of
     * rules is a kind without a message of its own. */
    assert_int_equal(pen__row_kind__descriptor.n_values, sizeof rows / sizeof rows[0] + 1);
    PEN_CLEANUP(pen_buf_release) struct pen_buf paths = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        list_artifacts(rows[i], rows[i]->short_name, &paths);
    assert_string_equal(pen_buf_text(&paths), "StageStateRow.rollback_target.artifacts.artifact\n"
                                              "ExecutionRow.artifacts.artifact\n"
                                              "ActionExecutionRow.inputs.artifact\n"
                                              "ActionExecutionRow.outputs.artifact\n"
                                              "ActionExecutionRow.approves.artifact\n"
                                              "AttemptRow.finished.artifacts\n"
                                              "AttemptRow.stored\n");
}

/* ---- each of them is marked */

struct made {
    uint8_t digest[PEN_SHA256_SIZE];
    Pen__ArtifactRef artifact;
    Pen__ProducedArtifact produced;
    Pen__ProducedArtifact *list[1];
};

static void make(struct made *made, uint8_t number)
{
    memset(made->digest, number, sizeof made->digest);
    pen__artifact_ref__init(&made->artifact);
    made->artifact.has_manifest_sha256 = 1;
    made->artifact.manifest_sha256 =
        (ProtobufCBinaryData){.len = sizeof made->digest, .data = made->digest};
    pen__produced_artifact__init(&made->produced);
    made->produced.artifact = &made->artifact;
    made->list[0] = &made->produced;
}

static bool has_manifest(const struct pen_marks *marks, uint8_t number)
{
    uint8_t digest[PEN_SHA256_SIZE];
    memset(digest, number, sizeof digest);
    for (size_t i = 0; i < marks->manifests_count; i++)
        if (memcmp(marks->manifests[i], digest, sizeof digest) == 0)
            return true;
    return false;
}

static void test_each_is_marked(void **state)
{
    (void)state;
    struct made made[8];
    for (uint8_t i = 0; i < 8; i++)
        make(&made[i], i);
    PEN_CLEANUP(pen_marks_release) struct pen_marks marks = {.last_fence = 100};
    Pen__RollbackTarget target = PEN__ROLLBACK_TARGET__INIT;
    target.n_artifacts = 1;
    target.artifacts = made[0].list;
    Pen__StageStateRow stage = PEN__STAGE_STATE_ROW__INIT;
    pen_marks_stage(&marks, &stage);
    stage.rollback_target = &target;
    pen_marks_stage(&marks, &stage);
    Pen__ExecutionRow execution = PEN__EXECUTION_ROW__INIT;
    execution.n_artifacts = 1;
    execution.artifacts = made[1].list;
    pen_marks_execution(&marks, &execution);
    Pen__ActionExecutionRow action = PEN__ACTION_EXECUTION_ROW__INIT;
    action.n_inputs = action.n_outputs = action.n_approves = 1;
    action.inputs = made[2].list;
    action.outputs = made[3].list;
    action.approves = made[4].list;
    pen_marks_action(&marks, &action);
    Pen__ArtifactRef *finished_list[] = {&made[5].artifact};
    Pen__ArtifactRef *stored_list[] = {&made[6].artifact};
    Pen__Finished finished = PEN__FINISHED__INIT;
    finished.n_artifacts = 1;
    finished.artifacts = finished_list;
    Pen__AttemptRow attempt = PEN__ATTEMPT_ROW__INIT;
    attempt.fence = 17;
    attempt.finished = &finished;
    attempt.n_stored = 1;
    attempt.stored = stored_list;
    pen_marks_attempt(&marks, &attempt);
    pen_marks_action(&marks, &action); /* again: once is enough */
    assert_int_equal(pen_marks_settle(&marks, NULL), 0);
    assert_int_equal(marks.manifests_count, 7);
    for (uint8_t i = 0; i < 7; i++)
        assert_true(has_manifest(&marks, i));
    assert_false(has_manifest(&marks, 7));
    assert_true(pen_marks_has_log(&marks, 17));
    assert_false(pen_marks_has_log(&marks, 18));
    assert_false(pen_marks_has_log(&marks, 100));
    assert_true(pen_marks_has_log(&marks, 101)); /* it may come to have a row */
}

static void digest_of(uint64_t number, uint8_t ret_digest[PEN_SHA256_SIZE])
{
    pen_sha256(&number, sizeof number, ret_digest);
}

static void test_many(void **state)
{
    (void)state;
    enum { MANY = 20000 };
    PEN_CLEANUP(pen_marks_release) struct pen_marks marks = {.last_fence = UINT64_MAX};
    struct made made;
    make(&made, 0);
    Pen__ExecutionRow execution = PEN__EXECUTION_ROW__INIT;
    execution.n_artifacts = 1;
    execution.artifacts = made.list;
    for (uint64_t i = 0; i < MANY; i++) {
        uint8_t digest[PEN_SHA256_SIZE];
        digest_of(i % 5000, made.digest);
        pen_marks_execution(&marks, &execution);
        Pen__AttemptRow attempt = PEN__ATTEMPT_ROW__INIT;
        attempt.fence = MANY - 2 * i % MANY;
        pen_marks_attempt(&marks, &attempt);
        digest_of(2 * i, digest);
        assert_int_equal(pen_marks_blob(&marks, digest, NULL), 0);
    }
    assert_int_equal(pen_marks_settle(&marks, NULL), 0);
    assert_int_equal(marks.manifests_count, 5000);
    assert_int_equal(marks.blobs_count, MANY);
    for (uint64_t i = 0; i < 2 * MANY; i++) {
        uint8_t digest[PEN_SHA256_SIZE];
        digest_of(i, digest);
        assert_int_equal(pen_marks_has_blob(&marks, digest), i % 2 == 0);
    }
    for (uint64_t fence = 1; fence <= MANY; fence++)
        assert_int_equal(pen_marks_has_log(&marks, fence), fence % 2 == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_artifacts_of_rows_are_known),
        cmocka_unit_test(test_each_is_marked),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
