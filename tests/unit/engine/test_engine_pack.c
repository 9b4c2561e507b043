/* Packing gives the bytes of protobuf-c for any message: random ones of every kind of row and of
 * facts, inputs and effects, and ones with fields that this release does not know. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/prng.h"
#include "common/base/field.h"
#include "controller/engine/memory.h"
#include "controller/engine/pack.h"
#include "core.pb-c.h"
#include "fact.pb-c.h"
#include "row.pb-c.h"

enum { ROUNDS = 300, DEPTH_MAX = 4, LONG_TEXT = 9000 };

static const ProtobufCMessageDescriptor *const types[] = {
    &pen__fact__descriptor,
    &pen__effect__descriptor,
    &pen__input__descriptor,
    &pen__setting_row__descriptor,
    &pen__pipeline_row__descriptor,
    &pen__pipeline_version_row__descriptor,
    &pen__stage_state_row__descriptor,
    &pen__execution_row__descriptor,
    &pen__stage_execution_row__descriptor,
    &pen__action_execution_row__descriptor,
    &pen__attempt_row__descriptor,
    &pen__agent_row__descriptor,
    &pen__rule_execution_row__descriptor,
    &pen__job_row__descriptor,
    &pen__webhook_row__descriptor,
};

static struct pen_prng prng;

static uint64_t below(uint64_t limit)
{
    return pen_prng_u64(&prng) % limit;
}

/* Of every length that a number can have when written. */
static uint64_t random_number(void)
{
    return pen_prng_u64(&prng) >> below(64);
}

static char *random_text(void)
{
    size_t size = below(40) == 0 ? LONG_TEXT + below(LONG_TEXT) : below(300);
    char *text = mem_zero(size + 1);
    memset(text, 'a' + (int)below(26), size);
    return text;
}

static void *random_message(const ProtobufCMessageDescriptor *type, int depth);

static void random_value(const ProtobufCFieldDescriptor *field, void *value, int depth)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        *(char **)value = random_text();
        break;
    case PROTOBUF_C_TYPE_BYTES: {
        char *text = random_text();
        *(ProtobufCBinaryData *)value =
            (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)text};
        break;
    }
    case PROTOBUF_C_TYPE_MESSAGE:
        *(void **)value = random_message(field->descriptor, depth + 1);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)value = (protobuf_c_boolean)below(2);
        break;
    default: {
        uint64_t number = random_number();
        if (below(4) == 0)
            number = ~number; /* below zero */
        memcpy(value, &number, pen_field_value_size(field->type));
    }
    }
}

static void random_field(const ProtobufCFieldDescriptor *field, char *message, int depth)
{
    void *quantifier = message + field->quantifier_offset;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count = 1 + below(3);
        size_t size = pen_field_value_size(field->type);
        char *array = mem_zero(count * size);
        for (size_t i = 0; i < count; i++)
            random_value(field, array + i * size, depth);
        *(char **)(void *)(message + field->offset) = array;
        *(size_t *)quantifier = count;
        return;
    }
    bool one_of = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
    if (one_of && *(uint32_t *)quantifier != 0)
        return; /* another one is chosen */
    random_value(field, message + field->offset, depth);
    if (one_of)
        *(uint32_t *)quantifier = field->id;
    else if (field->label == PROTOBUF_C_LABEL_OPTIONAL && field->type != PROTOBUF_C_TYPE_STRING &&
             field->type != PROTOBUF_C_TYPE_MESSAGE)
        *(protobuf_c_boolean *)quantifier = 1;
}

static void *random_message(const ProtobufCMessageDescriptor *type, int depth)
{
    void *message = mem_zero(type->sizeof_message);
    type->message_init(message);
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        bool too_deep = field->type == PROTOBUF_C_TYPE_MESSAGE && depth >= DEPTH_MAX;
        if (!too_deep && below((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 ? 20 : 2) == 0)
            random_field(field, message, depth);
    }
    return message;
}

static void assert_packed_alike(struct packer *packer, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *wanted = mem_zero(size + 1);
    assert_int_equal(protobuf_c_message_pack(message, wanted), size);
    ProtobufCBinaryData got = packer_pack(packer, message);
    assert_int_equal(got.len, size);
    if (size > 0)
        assert_memory_equal(got.data, wanted, size);
    free(wanted);
}

static void test_random_messages(void **state)
{
    (void)state;
    struct packer packer = {0};
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
            void *message = random_message(types[i], 0);
            assert_packed_alike(&packer, message);
            void *copy = mem_copy(message);
            assert_packed_alike(&packer, copy);
            mem_free_message(copy);
            mem_free_message(message);
        }
    packer_release(&packer);
}

/* Read by an older release: its fields are another message's, and most of them are not known. */
static void test_unknown_fields(void **state)
{
    (void)state;
    struct packer packer = {0};
    for (int round = 0; round < ROUNDS; round++) {
        void *message = random_message(&pen__attempt_row__descriptor, 0);
        ProtobufCBinaryData bytes = packer_pack(&packer, message);
        Pen__SettingRow *older = (Pen__SettingRow *)protobuf_c_message_unpack(
            &pen__setting_row__descriptor, NULL, bytes.len, bytes.data);
        mem_free_message(message);
        if (older == NULL)
            continue; /* a field of the same number and of another type */
        assert_packed_alike(&packer, &older->base);
        mem_free_message(older);
    }
    packer_release(&packer);
}

static void test_empty_message(void **state)
{
    (void)state;
    struct packer packer = {0};
    Pen__SettingRow row = PEN__SETTING_ROW__INIT;
    assert_packed_alike(&packer, &row.base);
    packer_release(&packer);
}

int main(void)
{
    static const uint8_t seed[32] = {1};
    pen_prng_init(&prng, seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_messages),
        cmocka_unit_test(test_unknown_fields),
        cmocka_unit_test(test_empty_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
