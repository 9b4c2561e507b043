/* common/wire: what comes from outside is measured before it is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent.pb-c.h"
#include "common/base/cleanup.h"
#include "common/wire/wire.h"
#include "manifest.pb-c.h"
#include "pipeline.pb-c.h"

static const struct pen_wire_limits tight = {.size_max = 4096, .fields_max = 64, .depth_max = 4};

static int unpack(const ProtobufCMessageDescriptor *type, const void *bytes, size_t size,
                  struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) ProtobufCMessage *message = NULL;
    return pen_wire_unpack(type, bytes, size, &tight, &message, err);
}

static void refused(const ProtobufCMessageDescriptor *type, const void *bytes, size_t size,
                    int code, const char *reason)
{
    struct pen_error err = {0};
    assert_int_equal(unpack(type, bytes, size, &err), code);
    if (!strstr(err.message, reason))
        fail_msg("'%s' does not say '%s'", err.message, reason);
}

static void test_round_trip(void **state)
{
    (void)state;
    Pen__FromAgent out = PEN__FROM_AGENT__INIT;
    Pen__Heartbeat beat = PEN__HEARTBEAT__INIT;
    Pen__InventoryItem item = PEN__INVENTORY_ITEM__INIT;
    Pen__InventoryItem *items[] = {&item};
    item.has_fence = 1;
    item.fence = UINT64_MAX;
    item.has_phase = 1;
    item.phase = PEN__ATTEMPT_PHASE__PHASE_TOMB;
    beat.n_inventory = 1;
    beat.inventory = items;
    out.body_case = PEN__FROM_AGENT__BODY_HEARTBEAT;
    out.heartbeat = &beat;

    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    assert_int_equal(pen_wire_pack(&out, &bytes, NULL), 0);
    PEN_CLEANUP(pen_message_destroy) Pen__FromAgent *in = NULL;
    assert_int_equal(pen_wire_unpack(&pen__from_agent__descriptor, bytes.data, bytes.size,
                                     &pen_wire_control, (ProtobufCMessage **)&in, NULL),
                     0);
    assert_int_equal(in->body_case, PEN__FROM_AGENT__BODY_HEARTBEAT);
    assert_true(in->heartbeat->inventory[0]->fence == UINT64_MAX);

    PEN_CLEANUP(pen_message_destroy) Pen__FromAgent *copy = NULL;
    assert_int_equal(pen_wire_copy(in, (ProtobufCMessage **)&copy, NULL), 0);
    pen_message_destroy(&in);
    assert_null(in);
    assert_int_equal(copy->heartbeat->inventory[0]->phase, PEN__ATTEMPT_PHASE__PHASE_TOMB);

    PEN_CLEANUP(pen_message_destroy) Pen__FromAgent *empty = NULL;
    assert_int_equal(pen_wire_unpack(&pen__from_agent__descriptor, NULL, 0, &pen_wire_control,
                                     (ProtobufCMessage **)&empty, NULL),
                     0);
    assert_int_equal(empty->body_case, PEN__FROM_AGENT__BODY__NOT_SET);
}

static void test_malformed(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *type = &pen__from_agent__descriptor;
    refused(type, "\x0b\x0c", 2, PEN_EINVAL, "wire type");     /* a group */
    refused(type, "\x3b", 1, PEN_EINVAL, "unknown wire type"); /* an unknown group */
    refused(type, "\x3e\x01", 2, PEN_EINVAL, "unknown wire type");
    refused(type, "\x08", 1, PEN_EINVAL, "cut off"); /* no value */
    refused(type, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11, PEN_EINVAL, "64 bits");
    refused(type, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, PEN_EINVAL, "64 bits");
    refused(type, "\x00\x01", 2, PEN_EINVAL, "field number");
    refused(type, "\x0d\x01\x02\x03\x04", 5, PEN_EINVAL, "wire type"); /* fixed32 for uint64 */
    refused(type, "\x52\x05gh", 4, PEN_EINVAL, "passes the end");
    refused(type, "\x52\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, PEN_EINVAL, "passes the end");
    refused(type, "\x52\x03\x0a\x05\x61", 5, PEN_EINVAL, "passes the end"); /* inner past outer */
    refused(type, "\x39\x01\x02", 3, PEN_EINVAL, "cut off");
    struct pen_error err = {0};
    assert_int_equal(unpack(type, "\x38\x05\x08\x07", 4, &err), 0); /* unknown field: kept */
}

static void test_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        int rc;
    } cases[] = {
        {"plain", 5, 0},
        {"gr\xc3\xbc\xc3\x9f", 6, 0},
        {"\xf0\x9f\x8c\x8a", 4, 0},
        {"\xc0\x80", 2, PEN_EINVAL},         /* overlong */
        {"\xed\xa0\x80", 3, PEN_EINVAL},     /* surrogate */
        {"\xf4\x90\x80\x80", 4, PEN_EINVAL}, /* above 10ffff */
        {"\xe2\x82", 2, PEN_EINVAL},         /* cut off */
        {"\x80", 1, PEN_EINVAL},
        {"a\0b", 3, PEN_EINVAL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[64] = {0x12, (uint8_t)cases[i].size}; /* Enroll.name */
        memcpy(bytes + 2, cases[i].text, cases[i].size);
        struct pen_error err = {0};
        assert_int_equal(unpack(&pen__enroll__descriptor, bytes, cases[i].size + 2, &err),
                         cases[i].rc);
    }
}

static void test_limits(void **state)
{
    (void)state;
    static uint8_t bytes[8192];
    refused(&pen__hello__descriptor, bytes, 4097, PEN_ELIMIT, "more than 4096");
    for (size_t i = 0; i < 65; i++) {
        bytes[2 * i] = 0x08;
        bytes[2 * i + 1] = 1;
    }
    struct pen_error err = {0};
    assert_int_equal(unpack(&pen__hello__descriptor, bytes, 128, &err), 0);
    refused(&pen__hello__descriptor, bytes, 130, PEN_ELIMIT, "more than 64 fields");
    /* packed: each number counts, none may pass the end of the list */
    memset(bytes, 1, sizeof bytes);
    bytes[0] = 0x12; /* BlobNeed.index */
    bytes[1] = 0x40;
    refused(&pen__blob_need__descriptor, bytes, 66, PEN_ELIMIT, "more than 64 fields");
    bytes[1] = 0x20;
    assert_int_equal(unpack(&pen__blob_need__descriptor, bytes, 34, &err), 0);
    bytes[33] = 0x81;
    bytes[34] = 0x08;
    bytes[35] = 0x08;
    refused(&pen__blob_need__descriptor, bytes, 36, PEN_EINVAL, "number");
    /* depth: ToAgent 1, Start 2, Capsule 3, map entry 4, in it one more field of length */
    const char deep[] = "\x72\x08\x12\x06\x5a\x04\x0a\x02hi";
    assert_int_equal(unpack(&pen__to_agent__descriptor, deep, sizeof deep - 1, &err), 0);
    struct pen_wire_limits shallow = tight;
    shallow.depth_max = 3;
    ProtobufCMessage *message = NULL;
    assert_int_equal(pen_wire_unpack(&pen__to_agent__descriptor, deep, sizeof deep - 1, &shallow,
                                     &message, &err),
                     PEN_ELIMIT);
    assert_null(message);
}

/* A megabyte of empty messages: refused before it has eaten more than the bound. */
static void test_growth_is_bounded(void **state)
{
    (void)state;
    size_t size = 256 * 1024;
    PEN_CLEANUP(pen_free) uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    for (size_t i = 0; i < size; i += 2) {
        bytes[i] = 0x22; /* Manifest.chunks, empty */
        bytes[i + 1] = 0;
    }
    ProtobufCMessage *message = NULL;
    struct pen_error err = {0};
    assert_int_equal(
        pen_wire_unpack(&pen__manifest__descriptor, bytes, size, &pen_wire_control, &message, &err),
        PEN_ELIMIT);
    assert_non_null(strstr(err.message, "fields"));
    err.message[0] = '\0';
    assert_int_equal(
        pen_wire_unpack(&pen__manifest__descriptor, bytes, size, &pen_wire_stored, &message, &err),
        PEN_ELIMIT);
    assert_non_null(strstr(err.message, "memory"));
}

static void test_pipeline_json(void **state)
{
    (void)state;
    const char text[] =
        "{\"name\":\"p\",\"artifactStore\":{\"type\":\"S3\",\"location\":\"b\"},\"stages\":[{"
        "\"name\":\"Source\",\"actions\":[{\"name\":\"a\",\"actionTypeId\":{\"category\":"
        "\"Source\",\"owner\":\"AWS\",\"provider\":\"CodeCommit\",\"version\":\"1\"},"
        "\"runOrder\":1,\"configuration\":{\"BranchName\":\"main\",\"Empty\":\"\"},\"commands\":["
        "\"make\",\"gr\xc3\xbc\xc3\x9f\"],\"outputArtifacts\":[{\"name\":\"o\"}]}]}],"
        "\"version\":2147483647}";
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineDeclaration *pipeline = NULL;
    json_t *json = NULL;
    assert_int_equal(pen_json_parse(text, strlen(text), 4096, &json, NULL), 0);
    assert_int_equal(pen_wire_from_json(&pen__pipeline_declaration__descriptor, json, "pipeline",
                                        (ProtobufCMessage **)&pipeline, NULL),
                     0);
    assert_int_equal(pipeline->version, INT32_MAX);
    Pen__ActionDeclaration *action = pipeline->stages[0]->actions[0];
    assert_string_equal(action->action_type_id->provider, "CodeCommit");
    assert_int_equal(action->n_configuration, 2);
    assert_string_equal(action->configuration[0]->key, "BranchName");
    assert_string_equal(action->configuration[0]->value, "main");
    json_t *back = NULL;
    assert_int_equal(pen_wire_to_json(pipeline, &back, NULL), 0);
    assert_true(json_equal(json, back));
    json_decref(back);

    /* a map whose values are messages */
    assert_int_equal(json_object_set_new(json, "artifactStores",
                                         json_pack("{s{ss}s{}}", "eu-1", "type", "S3", "us-1")),
                     0);
    pen_message_destroy(&pipeline);
    assert_int_equal(pen_wire_from_json(&pen__pipeline_declaration__descriptor, json, "pipeline",
                                        (ProtobufCMessage **)&pipeline, NULL),
                     0);
    assert_int_equal(pipeline->n_artifact_stores, 2);
    assert_string_equal(pipeline->artifact_stores[0]->value->type, "S3");
    assert_int_equal(pen_wire_to_json(pipeline, &back, NULL), 0);
    assert_true(json_equal(json, back));
    json_decref(back);
    json_decref(json);
}

static void test_scalars_json(void **state)
{
    (void)state;
    json_t *json = json_pack("{sIsssss[ss]}", "fence", (json_int_t)INT64_MAX, "actionClass", "ONCE",
                             "provider", "Commands", "commands", "a", "b");
    assert_int_equal(json_object_set_new(json, "timeoutMs", json_integer(INT64_MIN)), 0);
    assert_int_equal(json_object_set_new(json, "inputs",
                                         json_pack("[{sssssI}]", "name", "in", "manifestSha256",
                                                   "AAEC/w==", "size", (json_int_t)7)),
                     0);
    assert_int_equal(json_object_set_new(json, "secrets", json_pack("[{sb}]", "asFile", 0)), 0);
    assert_int_equal(json_object_set_new(json, "unheardOf", json_true()), 0);
    PEN_CLEANUP(pen_message_destroy) Pen__Capsule *capsule = NULL;
    assert_int_equal(pen_wire_from_json(&pen__capsule__descriptor, json, "",
                                        (ProtobufCMessage **)&capsule, NULL),
                     0);
    assert_true(capsule->fence == INT64_MAX);
    assert_true(capsule->timeout_ms == INT64_MIN);
    assert_int_equal(capsule->action_class, PEN__ACTION_CLASS__ONCE);
    assert_int_equal(capsule->inputs[0]->manifest_sha256.len, 4);
    assert_memory_equal(capsule->inputs[0]->manifest_sha256.data, "\0\1\2\xff", 4);
    assert_true(capsule->secrets[0]->has_as_file);
    assert_false(capsule->has_pipeline_version);
    json_t *back = NULL;
    assert_int_equal(pen_wire_to_json(capsule, &back, NULL), 0);
    json_object_del(json, "unheardOf");
    assert_true(json_equal(json, back));
    json_decref(back);
    json_decref(json);
}

static void test_json_of_the_wrong_kind(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"{\"name\":1}", "pipeline.name: expected a string"},
        {"{\"stages\":{}}", "pipeline.stages: expected an array"},
        {"{\"stages\":[{\"name\":\"ok\"},{\"actions\":[{\"runOrder\":1.5}]}]}",
         "pipeline.stages[1].actions[0].runOrder: expected an integer"},
        {"{\"stages\":[3]}", "pipeline.stages[0]: expected an object"},
        {"{\"version\":2147483648}", "pipeline.version: expected a 32-bit integer"},
        {"{\"stages\":[{\"actions\":[{\"configuration\":{\"a\":\"b\",\"k\":[]}}]}]}",
         "pipeline.stages[0].actions[0].configuration['k']: expected a string"},
        {"{\"stages\":[{\"actions\":[{\"commands\":[\"a\",null]}]}]}",
         "pipeline.stages[0].actions[0].commands[1]: expected a string"},
        {"[]", "pipeline: expected an object"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *json = NULL;
        struct pen_error err = {0};
        ProtobufCMessage *message = NULL;
        assert_int_equal(pen_json_parse(cases[i].text, strlen(cases[i].text), 4096, &json, &err),
                         0);
        assert_int_equal(pen_wire_from_json(&pen__pipeline_declaration__descriptor, json,
                                            "pipeline", &message, &err),
                         PEN_EINVAL);
        assert_string_equal(err.message, cases[i].message);
        assert_null(message);
        json_decref(json);
    }
    const char both[] = "{\"bye\":{},\"accept\":{}}";
    json_t *json = NULL;
    struct pen_error err = {0};
    ProtobufCMessage *message = NULL;
    assert_int_equal(pen_json_parse(both, strlen(both), 4096, &json, &err), 0);
    assert_int_equal(pen_wire_from_json(&pen__from_agent__descriptor, json, "", &message, &err),
                     PEN_EINVAL);
    assert_non_null(strstr(err.message, "excludes"));
    json_decref(json);
}

static void test_json_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
    } cases[] = {
        {"{}", 0},
        {"{\"a\":\"[[[[\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}", 0},
        {"", PEN_EINVAL},
        {"{\"a\":1,\"a\":2}", PEN_EINVAL},
        {"{\"a\":\"\xff\"}", PEN_EINVAL},
        {"{\"a\":\"\\u0000\"}", PEN_EINVAL},
        {"{} {}", PEN_EINVAL},
        {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", PEN_ELIMIT},
        {"{\"a\":123456789012345678901234567890}", PEN_EINVAL},
        {"{\"very\":\"long text that is more than the sixty-four bytes allowed here\"}",
         PEN_ELIMIT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *json = NULL;
        struct pen_error err = {0};
        size_t size_max = i == 9 ? 64 : 80;
        assert_int_equal(
            pen_json_parse(cases[i].text, strlen(cases[i].text), size_max, &json, &err),
            cases[i].rc);
        json_decref(json);
    }
}

/* Every cut and every flipped bit of a real message is answered, never believed beyond its end. */
static void test_mutations(void **state)
{
    (void)state;
    const char text[] = "{\"sessionNo\":3,\"event\":{\"fence\":5,\"seq\":1,\"finished\":{\"kind\":"
                        "\"EXITED\",\"reason\":\"gr\xc3\xbc\xc3\x9f\",\"artifacts\":[{\"name\":"
                        "\"o\",\"manifestSha256\":\"AAEC\"}],\"outputVariables\":{\"A\":\"b\"}}}}";
    json_t *json = NULL;
    PEN_CLEANUP(pen_message_destroy) ProtobufCMessage *whole = NULL;
    PEN_CLEANUP(pen_buf_release) struct pen_buf bytes = {0};
    assert_int_equal(pen_json_parse(text, strlen(text), 4096, &json, NULL), 0);
    assert_int_equal(pen_wire_from_json(&pen__from_agent__descriptor, json, "", &whole, NULL), 0);
    json_decref(json);
    assert_int_equal(pen_wire_pack(whole, &bytes, NULL), 0);
    unsigned refusals = 0;
    for (size_t size = 0; size < bytes.size; size++)
        refusals += unpack(&pen__from_agent__descriptor, bytes.data, size, NULL) < 0;
    for (size_t bit = 0; bit < bytes.size * 8; bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        refusals += unpack(&pen__from_agent__descriptor, bytes.data, bytes.size, NULL) < 0;
        bytes.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    assert_true(refusals > bytes.size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_growth_is_bounded),
        cmocka_unit_test(test_pipeline_json),
        cmocka_unit_test(test_scalars_json),
        cmocka_unit_test(test_json_of_the_wrong_kind),
        cmocka_unit_test(test_json_text),
        cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
