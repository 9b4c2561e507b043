/* Custom action types: definitions, the actions that use them, and URLs by template. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/wire/wire.h"
#include "controller/model/action_types.h"
#include "controller/model/validate.h"

#define VALUE  "ValidationException"
#define ACTION "InvalidActionDeclarationException"

static json_t *parse(const char *text)
{
    json_error_t error;
    char copy[4096];
    size_t size = strlen(text);
    assert_true(size < sizeof copy);
    memcpy(copy, text, size + 1);
    for (char *c = copy; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c;
    json_t *json = json_loads(copy, 0, &error);
    if (json == NULL)
        fail_msg("%s: %s", error.text, text);
    return json;
}

static void *message_of(const ProtobufCMessageDescriptor *type, const char *text)
{
    json_t *json = parse(text);
    ProtobufCMessage *message = NULL;
    struct pen_error err;
    if (pen_wire_from_json(type, json, "it", &message, &err) < 0)
        fail_msg("%s", err.message);
    json_decref(json);
    return message;
}

/* The parts of a definition that the cases change. */
static Pen__ActionType *type_of(const char *category, const char *properties, const char *settings,
                                const char *inputs, const char *outputs)
{
    PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
    pen_buf_printf(&text,
                   "{'id':{'category':'%s','owner':'Custom','provider':'Mill','version':'1'},"
                   "'settings':{%s},'actionConfigurationProperties':[%s],"
                   "'inputArtifactDetails':{%s},'outputArtifactDetails':{%s}}",
                   category, settings, properties, inputs, outputs);
    return message_of(&pen__action_type__descriptor, pen_buf_text(&text));
}

#define NONE    "'minimumCount':0,'maximumCount':0"
#define PLACE   "{'name':'Place','required':true,'key':true,'secret':false}"
#define PROJECT "{'name':'Project','required':true,'key':true,'secret':false,'queryable':true}"
#define KEY     "{'name':'Key','required':false,'key':false,'secret':true}"

static void test_definitions(void **state)
{
    (void)state;
    static const struct {
        const char *says; /* NULL: accepted */
        const char *category;
        const char *properties;
        const char *settings;
        const char *inputs;
        const char *outputs;
    } cases[] = {
        {NULL, "Build", PLACE "," PROJECT "," KEY,
         "'entityUrlTemplate':'http://m/{Config:Place}/{Config:Project}',"
         "'executionUrlTemplate':'http://m/{ExternalExecutionId}'",
         "'minimumCount':0,'maximumCount':5", "'minimumCount':0,'maximumCount':5"},
        {"not 'Approval'", "Approval", "", "", NONE, NONE},
        {"not 'Compute'", "Compute", "", "", NONE, NONE},
        {"'Place' occurs more than once", "Test", PLACE "," PLACE, "", NONE, NONE},
        {"only one property can be queryable", "Test",
         PROJECT ",{'name':'P','required':true,'key':true,'secret':false,'queryable':true}", "",
         NONE, NONE},
        {"has to be required", "Test",
         "{'name':'P','required':false,'key':true,'secret':false,'queryable':true}", "", NONE,
         NONE},
        {"must not be secret", "Test",
         "{'name':'P','required':true,'key':true,'secret':true,'queryable':true}", "", NONE, NONE},
        {"minimumCount must not be larger", "Test", "", "", "'minimumCount':2,'maximumCount':1",
         NONE},
        {"0 to 5", "Test", "", "", "'minimumCount':0,'maximumCount':6", NONE},
        {"a Source action has no input", "Source", "", "", "'minimumCount':0,'maximumCount':1",
         NONE},
        {"no place where job workers could put output artifacts", "Build", "", "", NONE,
         "'minimumCount':1,'maximumCount':1"},
        {"there is no configuration property 'Where'", "Test", PLACE,
         "'entityUrlTemplate':'{Config:Where}'", NONE, NONE},
        {"'{Place}' is not {Config:Name}", "Test", PLACE, "'revisionUrlTemplate':'{Place}'", NONE,
         NONE},
        {"settings.executionUrlTemplate: '{Config:}", "Test", PLACE,
         "'executionUrlTemplate':'x{Config:}'", NONE, NONE},
        {"property 'Key' has to be required and must not be secret", "Test", KEY,
         "'entityUrlTemplate':'{Config:Key}'", NONE, NONE},
        {"is not {Config:Name}", "Test", PLACE, "'entityUrlTemplate':'{Config:Place'", NONE, NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        PEN_CLEANUP(pen_message_destroy)
        Pen__ActionType *type = type_of(cases[i].category, cases[i].properties, cases[i].settings,
                                        cases[i].inputs, cases[i].outputs);
        struct pen_error err = {0};
        int code = pen_action_type_check(type, &err);
        if ((code == 0) != (cases[i].says == NULL))
            fail_msg("case %zu: %d %s", i, code, err.message);
        if (code == 0)
            continue;
        assert_string_equal(err.api_name, VALUE);
        if (strstr(err.message, cases[i].says) == NULL)
            fail_msg("case %zu: '%s' does not say '%s'", i, err.message, cases[i].says);
    }
}

static void test_actions(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_message_destroy)
    Pen__ActionType *type = type_of(
        "Build",
        PROJECT "," KEY ",{'name':'N','required':false,'key':false,'secret':false,'type':'Number'},"
                "{'name':'B','required':false,'key':false,'secret':false,'type':'Boolean'},"
                "{'name':'RunsOn','required':false,'key':false,'secret':false}",
        "", "'minimumCount':1,'maximumCount':1", "'minimumCount':0,'maximumCount':1");
    const Pen__ActionType *list[] = {type};
    const struct pen_custom_types types = {.region = "eu-west-1", .types = list, .count = 1};
    static const struct {
        const char *says; /* NULL: accepted */
        const char *version;
        const char *rest; /* of the action */
    } cases[] = {
        {NULL, "1", "'inputArtifacts':[{'name':'C'}],'configuration':{'Project':'rye'}"},
        {NULL, "1",
         "'inputArtifacts':[{'name':'C'}],'configuration':{'Project':'#{v.x}','Key':'s','N':'-1.5',"
         "'B':'true','RunsOn':'===,'}"},
        {"in action 'A' is not available in region 'EU_WEST_1'; the nearest is "
         "Build/Custom/Mill/1; "
         "there are Source/AWS/CodeCommit/1, Source/AWS/CodeStarSourceConnection/1, "
         "Compute/AWS/Commands/1, Approval/AWS/Manual/1 and 1 custom type (ListActionTypes)",
         "2", "'inputArtifacts':[{'name':'C'}],'configuration':{'Project':'rye'}"},
        {"declares 0 input artifacts which is less than the minimum count (1)", "1",
         "'configuration':{'Project':'rye'}"},
        {"Action configuration for action 'A' is missing required configuration 'Project'", "1",
         "'inputArtifacts':[{'name':'C'}]"},
        {"contains unknown configuration 'X'", "1",
         "'inputArtifacts':[{'name':'C'}],'configuration':{'Project':'rye','X':'1'}"},
        {"'Project' is queryable", "1",
         "'inputArtifacts':[{'name':'C'}],'configuration':{'Project':'rye bread'}"},
        {"'Project' is queryable", "1",
         "'inputArtifacts':[{'name':'C'}],'configuration':{'Project':'a2345678901234567890_'}"},
        {"'Key' is secret, and variables are not resolved in it", "1",
         "'inputArtifacts':[{'name':'C'}],'configuration':{'Project':'rye','Key':'#{v.x}'}"},
        {"'N' is a Number", "1",
         "'inputArtifacts':[{'name':'C'}],'configuration':{'Project':'rye','N':'1e'}"},
        {"'B' is a Boolean", "1",
         "'inputArtifacts':[{'name':'C'}],'configuration':{'Project':'rye','B':'yes'}"},
        {"timeoutInMinutes, which only manual approvals take", "1",
         "'inputArtifacts':[{'name':'C'}],'configuration':{'Project':'rye'},"
         "'timeoutInMinutes':10"},
        {"cannot be in another region (us-east-1) than the pipeline (eu-west-1)", "1",
         "'inputArtifacts':[{'name':'C'}],'configuration':{'Project':'rye'},"
         "'region':'us-east-1'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
        pen_buf_printf(&text,
                       "{'name':'A','actionTypeId':{'category':'Build','owner':'Custom',"
                       "'provider':'Mill','version':'%s'},%s}",
                       cases[i].version, cases[i].rest);
        PEN_CLEANUP(pen_message_destroy)
        Pen__ActionDeclaration *action =
            message_of(&pen__action_declaration__descriptor, pen_buf_text(&text));
        struct pen_error err = {0};
        int code = pen_provider_check(action, &types, &err);
        if ((code == 0) != (cases[i].says == NULL))
            fail_msg("case %zu: %d %s", i, code, err.message);
        if (code < 0 && strstr(err.message, cases[i].says) == NULL)
            fail_msg("case %zu: '%s' does not say '%s'", i, err.message, cases[i].says);
    }
}

/* There is no place for them: the whole declaration is refused, and says so. */
static void test_outputs(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_message_destroy)
    Pen__ActionType *type = type_of("Source", "", "", NONE, "'minimumCount':0,'maximumCount':1");
    const Pen__ActionType *list[] = {type};
    const struct pen_custom_types types = {.region = "eu-west-1", .types = list, .count = 1};
    static const char *const outputs[] = {"", ",'outputArtifacts':[{'name':'O'}]"};
    for (size_t i = 0; i < 2; i++) {
        PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
        pen_buf_printf(&text,
                       "{'name':'p','roleArn':'r','artifactStore':{'type':'S3','location':'b'},"
                       "'stages':[{'name':'S','actions':[{'name':'A','actionTypeId':{'category':"
                       "'Source','owner':'Custom','provider':'Mill','version':'1'}%s}]},"
                       "{'name':'T','actions':[{'name':'Ask','actionTypeId':{'category':"
                       "'Approval','owner':'AWS','provider':'Manual','version':'1'}}]}]}",
                       outputs[i]);
        PEN_CLEANUP(pen_message_destroy)
        Pen__PipelineDeclaration *declaration =
            message_of(&pen__pipeline_declaration__descriptor, pen_buf_text(&text));
        struct pen_error err = {0};
        int code = pen_model_validate_with(declaration, &types, NULL, &err);
        if (i == 0) {
            if (code != 0)
                fail_msg("%s", err.message);
            continue;
        }
        assert_int_equal(code, PEN_EUNSUPPORTED);
        assert_string_equal(err.api_name, ACTION);
        assert_non_null(strstr(err.message, "no place yet where a job worker could put them"));
    }
}

static const char *look_up(const void *context, const char *name)
{
    (void)context;
    return strcmp(name, "Place") == 0 ? "upper mill" : NULL;
}

static void test_urls(void **state)
{
    (void)state;
    static const struct {
        const char *url_template;
        const char *external_id;
        const char *url; /* NULL: none */
    } cases[] = {
        {"http://m/", NULL, "http://m/"},
        {"http://m/{Config:Place}?{ExternalExecutionId}!", "7", "http://m/upper mill?7!"},
        {"http://m/{ExternalExecutionId}", NULL, NULL},
        {"http://m/{Config:Other}", "7", NULL},
        {NULL, "7", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        PEN_CLEANUP(pen_buf_release) struct pen_buf url = {0};
        pen_buf_puts(&url, ">");
        bool made =
            pen_action_type_url(cases[i].url_template, look_up, NULL, cases[i].external_id, &url);
        assert_int_equal(made, cases[i].url != NULL);
        assert_string_equal(pen_buf_text(&url) + 1, made ? cases[i].url : "");
    }
}

static void test_masks(void **state)
{
    (void)state;
    assert_true(pen_secret_is_mask("****"));
    assert_true(pen_secret_is_mask("** ** *"));
    assert_false(pen_secret_is_mask("***"));
    assert_false(pen_secret_is_mask("****x"));
    assert_false(pen_secret_is_mask(""));
    assert_false(pen_secret_is_mask(NULL));
    assert_string_equal(pen_configuration_shown("sealed:v1:abc"), "****");
    assert_string_equal(pen_configuration_shown("sealed"), "sealed");
    assert_null(pen_configuration_shown(NULL));
}

/* Who names a type that there is not reads which was meant, and which there are. */
static void test_unavailable(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        const char *nearest; /* NULL: none is near */
    } cases[] = {
        {"'category':'Build','owner':'AWS','provider':'Command','version':'1'",
         "Compute/AWS/Commands/1"},
        {"'category':'Build','owner':'AWS','provider':'Commands','version':'1'",
         "Compute/AWS/Commands/1"},
        {"'category':'Approval','owner':'AWS','provider':'mnaual','version':'1'",
         "Approval/AWS/Manual/1"},
        {"'category':'Approval','owner':'AWS','provider':'Manual','version':'2'",
         "Approval/AWS/Manual/1"},
        {"'category':'Test','owner':'Custom','provider':'Mil','version':'1'",
         "Build/Custom/Mill/1"},
        {"'category':'Deploy','owner':'AWS','provider':'ECS','version':'1'", NULL},
        {"'category':'Deploy'", NULL},
    };
    Pen__ActionType *type = type_of("Build", "", "", NONE, NONE);
    const Pen__ActionType *list[] = {type};
    const struct pen_custom_types types = {.region = "us-east-1", .types = list, .count = 1};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        PEN_CLEANUP(pen_buf_release) struct pen_buf text = {0};
        pen_buf_printf(&text, "{'name':'A','actionTypeId':{%s}}", cases[i].type);
        Pen__ActionDeclaration *action =
            message_of(&pen__action_declaration__descriptor, pen_buf_text(&text));
        struct pen_error err = {0};
        assert_true(pen_provider_check(action, &types, &err) < 0);
        assert_string_equal(err.api_name, ACTION);
        PEN_CLEANUP(pen_buf_release) struct pen_buf says = {0};
        pen_buf_puts(&says, "in action 'A' is not available in region 'US_EAST_1'; ");
        if (cases[i].nearest != NULL)
            pen_buf_printf(&says, "the nearest is %s; ", cases[i].nearest);
        pen_buf_puts(&says, "there are Source/AWS/CodeCommit/1, "
                            "Source/AWS/CodeStarSourceConnection/1, Compute/AWS/Commands/1, "
                            "Approval/AWS/Manual/1 and 1 custom type (ListActionTypes)");
        if (strstr(err.message, pen_buf_text(&says)) == NULL)
            fail_msg("'%s' lacks '%s'", err.message, pen_buf_text(&says));
        pen_message_destroy(&action);
    }
    pen_message_destroy(&type);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_definitions), cmocka_unit_test(test_actions),
        cmocka_unit_test(test_outputs),     cmocka_unit_test(test_urls),
        cmocka_unit_test(test_masks),       cmocka_unit_test(test_unavailable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
