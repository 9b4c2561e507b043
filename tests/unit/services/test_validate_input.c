/* Requests against the catalogue: each kind of constraint, its sentence, and what is let through.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/base/cleanup.h"
#include "controller/services/pattern.h"
#include "controller/services/validate_input.h"

static int set_up(void **state)
{
    (void)state;
    struct pen_error err;
    if (pen_api_catalog_start(&pen_codepipeline_catalog, &err) < 0)
        fail_msg("%s", err.message);
    return pen_api_catalog_start(&pen_codepipeline_catalog, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    pen_api_catalog_stop(&pen_codepipeline_catalog);
    return 0;
}

/* ' stands for ". */
static int validate(const char *operation, const char *text, struct pen_error *err)
{
    char *copy = strdup(text);
    for (char *at = copy; *at != '\0'; at++) {
        if (*at == '\'')
            *at = '"';
    }
    json_t *json = json_loads(copy, JSON_DECODE_ANY, NULL);
    if (json == NULL)
        fail_msg("not JSON: %s", copy);
    free(copy);
    const struct pen_api_operation *found =
        pen_api_operation_find(&pen_codepipeline_catalog, operation);
    assert_non_null(found);
    int code = pen_api_validate(found, json, err);
    json_decref(json);
    return code;
}

#define HEAD "{'pipeline':{'name':'p','roleArn':'arn:aws:iam::123456789012:role/r','stages':["
#define STAGE                                                                                      \
    "{'name':'S','actions':[{'name':'A','actionTypeId':{'category':'Source',"                      \
    "'owner':'AWS','provider':'CodeCommit','version':'1'}"
#define ONE     "1 validation error detected: "
#define FAILED  "' failed to satisfy constraint: Member must "
#define PIPE(s) HEAD s "]}}"
#define ACT(s)  HEAD STAGE "," s "}]}]}}"
#define IN_ACT  "pipeline.stages.1.member.actions.1.member."

static const struct {
    const char *operation;
    const char *body;
    const char *message; /* NULL: right */
} cases[] = {
    {"ListPipelines", "{}", NULL},
    {"ListPipelines", "{'maxResults':1,'nextToken':null,'unknown':[{}]}", NULL},
    {"CreatePipeline", PIPE(""), NULL},
    {"CreatePipeline", PIPE(STAGE "}]}"), NULL},
    {"CreatePipeline", "{}", ONE "Value null at 'pipeline" FAILED "not be null"},
    {"CreatePipeline", "{'pipeline':null}", ONE "Value null at 'pipeline" FAILED "not be null"},
    {"CreatePipeline", "{'pipeline':{'name':'p'}}",
     "2 validation errors detected: Value null at 'pipeline.roleArn" FAILED
     "not be null; Value null at 'pipeline.stages" FAILED "not be null"},
    {"GetPipeline", "{'name':'a b'}",
     ONE "Value 'a b' at 'name" FAILED "satisfy regular expression pattern: [A-Za-z0-9.@\\-_]+"},
    {"GetPipeline", "{'name':'a-b_c.d@e9'}", NULL},
    {"GetPipeline", "{'name':'ab\\n'}",
     ONE "Value 'ab\n' at 'name" FAILED "satisfy regular expression pattern: [A-Za-z0-9.@\\-_]+"},
    {"GetPipeline", "{'name':''}",
     "2 validation errors detected: Value '' at 'name" FAILED
     "have length greater than or equal to 1; Value '' at 'name" FAILED
     "satisfy regular expression pattern: [A-Za-z0-9.@\\-_]+"},
    {"GetPipeline", "{'name':'p','version':0}",
     ONE "Value '0' at 'version" FAILED "have value greater than or equal to 1"},
    {"ListPipelines", "{'maxResults':1001}",
     ONE "Value '1001' at 'maxResults" FAILED "have value less than or equal to 1000"},
    {"EnableStageTransition", "{'pipelineName':'p','stageName':'s','transitionType':'Sideways'}",
     ONE "Value 'Sideways' at 'transitionType" FAILED
         "satisfy enum value set: [Inbound, Outbound]"},
    {"DisableStageTransition",
     "{'pipelineName':'p','stageName':'s','transitionType':'Inbound','reason':'why (not)? *a-b*!'}",
     NULL},
    {"DisableStageTransition",
     "{'pipelineName':'p','stageName':'s','transitionType':'Inbound','reason':'why; not'}",
     ONE "Value 'why; not' at 'reason" FAILED
         "satisfy regular expression pattern: [a-zA-Z0-9!@ \\(\\)\\.\\*\\?\\-]+"},
    {"CreatePipeline", PIPE("{'name':'bad name!','actions':[]}"),
     ONE "Value 'bad name!' at 'pipeline.stages.1.member.name" FAILED
         "satisfy regular expression pattern: [A-Za-z0-9.@\\-_]+"},
    {"CreatePipeline", ACT("'runOrder':1000"),
     ONE "Value '1000' at '" IN_ACT "runOrder" FAILED "have value less than or equal to 999"},
    {"CreatePipeline", ACT("'configuration':{'':'x'}"),
     ONE "Value '' at '" IN_ACT
         "configuration' failed to satisfy constraint: Map keys must satisfy constraint: [Member "
         "must have length greater than or equal to 1]"},
    {"CreatePipeline", ACT("'configuration':{'Key':''}"),
     ONE "Value at '" IN_ACT "configuration.Key.member" FAILED
         "have length greater than or equal to 1"},
    {"CreatePipeline", ACT("'configuration':{'Key':null}"),
     ONE "Value null at '" IN_ACT "configuration.Key.member" FAILED "not be null"},
    {"CreatePipeline", ACT("'outputVariables':[]"),
     ONE "Value at '" IN_ACT "outputVariables" FAILED "have length greater than or equal to 1"},
    {"CreatePipeline", ACT("'inputArtifacts':[null]"),
     ONE "Value null at '" IN_ACT "inputArtifacts.1.member" FAILED "not be null"},
    {"CreatePipeline", ACT("'environmentVariables':[{'name':'a','value':'one line'}]"), NULL},
    {"CreatePipeline",
     ACT("'environmentVariables':[{'name':'a','value':'\xc3\xa4 \xf0\x9f\x98\x80'}]"), NULL},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pen_error err = {0};
        int code = validate(cases[i].operation, cases[i].body, &err);
        if (cases[i].message == NULL) {
            if (code != 0)
                fail_msg("%s: %s", cases[i].body, err.message);
            continue;
        }
        assert_int_equal(code, PEN_EINVAL);
        assert_string_equal(err.api_name, "ValidationException");
        assert_string_equal(err.message, cases[i].message);
    }
}

static void test_wrong_types(void **state)
{
    (void)state;
    static const char *const bodies[][2] = {
        {"[]", "request body"},
        {"'x'", "request body"},
        {"{'pipeline':[]}", "'pipeline' has to be an object"},
        {PIPE("7"), "'pipeline.stages.1.member' has to be an object"},
        {"{'pipeline':{'stages':{}}}", "'pipeline.stages' has to be a list"},
        {"{'pipeline':{'name':7}}", "'pipeline.name' has to be a string"},
        {ACT("'runOrder':'1'"), "runOrder' has to be an integer"},
        {ACT("'runOrder':1.5"), "runOrder' has to be an integer"},
        {ACT("'configuration':['x']"), "configuration' has to be an object"},
        {ACT("'configuration':{'K':true}"), "configuration.K.member' has to be a string"},
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct pen_error err = {0};
        assert_int_equal(validate("CreatePipeline", bodies[i][0], &err), PEN_EINVAL);
        assert_string_equal(err.api_name, "SerializationException");
        if (strstr(err.message, bodies[i][1]) == NULL)
            fail_msg("%s: %s", bodies[i][0], err.message);
    }
    struct pen_error err = {0};
    assert_int_equal(validate("StopPipelineExecution",
                              "{'pipelineName':'p','pipelineExecutionId':"
                              "'11111111-1111-1111-1111-111111111111','abandon':'yes'}",
                              &err),
                     PEN_EINVAL);
    assert_non_null(strstr(err.message, "'abandon' has to be true or false"));
}

static void test_lengths_count_characters(void **state)
{
    (void)state;
    char body[1200];
    char value[601];
    struct pen_error err;
    for (size_t i = 0; i < 600; i += 2)
        memcpy(value + i, "\xc3\xa4", 3);
    (void)snprintf(body, sizeof body,
                   "{'pipelineName':'p','stageName':'s','actionName':'a',"
                   "'token':'11111111-1111-1111-1111-111111111111',"
                   "'result':{'status':'Approved','summary':'%s%s'}}",
                   value, "");
    assert_int_equal(validate("PutApprovalResult", body, &err), 0); /* 300 of 512 characters */
    char *summary = strstr(body, "summary") + 10;
    memset(summary, 'x', 600);
    assert_int_equal(validate("PutApprovalResult", body, &err), PEN_EINVAL);
    assert_non_null(strstr(err.message, "xxx...' at 'result.summary" FAILED
                                        "have length less than or equal to 512"));
}

static void test_many_errors_are_counted(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_buf_release) struct pen_buf body = {0};
    pen_buf_puts(&body, HEAD);
    for (int i = 0; i < 40; i++)
        pen_buf_printf(&body, "%s{'name':'b a d','actions':[]}", i == 0 ? "" : ",");
    pen_buf_puts(&body, "]}}");
    struct pen_error err;
    assert_int_equal(validate("CreatePipeline", pen_buf_text(&body), &err), PEN_EINVAL);
    static const char start[] = "40 validation errors detected: Value 'b a d' at "
                                "'pipeline.stages.1.member.name" FAILED;
    assert_memory_equal(err.message, start, sizeof start - 1);
    assert_non_null(strstr(err.message, "; Value 'b a d' at 'pipeline.stages.2.member.name"));
    const char *end = strstr(err.message, "_]+");
    assert_non_null(end);
    size_t size = strlen(err.message);
    assert_string_equal(err.message + size - 3, "_]+"); /* whole sentences only */
}

static void test_sensitive_values_are_not_shown(void **state)
{
    (void)state;
    struct pen_error err;
    assert_int_equal(validate("PutApprovalResult",
                              "{'pipelineName':'p','stageName':'s','actionName':'a',"
                              "'token':'x','result':{'status':'Approved','summary':''}}",
                              &err),
                     PEN_EINVAL);
    assert_non_null(strstr(err.message, "Value 'x' at 'token"));
    static const struct pen_api_shape secret = {
        .name = "Secret", .type = PEN_API_STRING, .sensitive = true, .has_min = true, .min = 99};
    static const struct pen_api_member members[] = {{"secret", &secret, true}};
    static const struct pen_api_shape input = {
        .name = "In", .type = PEN_API_STRUCTURE, .members = members, .members_count = 1};
    static const struct pen_api_operation operation = {
        .name = "Put", .catalog = &pen_codepipeline_catalog, .input = &input};
    json_t *json = json_pack("{s:s}", "secret", "hunter2");
    assert_int_equal(pen_api_validate(&operation, json, &err), PEN_EINVAL);
    json_decref(json);
    assert_string_equal(err.message,
                        ONE "Value at 'secret" FAILED "have length greater than or equal to 99");
}

static void test_operations_are_found(void **state)
{
    (void)state;
    const struct pen_api_catalog *catalog = &pen_codepipeline_catalog;
    assert_int_equal(catalog->operations_count, 44);
    for (size_t i = 0; i < catalog->operations_count; i++) {
        const struct pen_api_operation *operation = &catalog->operations[i];
        assert_ptr_equal(pen_api_operation_find(catalog, operation->name), operation);
        assert_ptr_equal(operation->catalog, catalog);
        assert_non_null(operation->errors);
    }
    assert_null(pen_api_operation_find(catalog, "NoSuchOperation"));
    assert_null(pen_api_operation_find(catalog, ""));
    assert_string_equal(catalog->target_prefix, "CodePipeline_20150709");
    assert_string_equal(catalog->service, "codepipeline");
}

static void test_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *text;
        bool matches;
    } patterns[] = {
        {"[0-9]{12}", "123456789012", true},
        {"[0-9]{12}", "1234567890123", false},
        {"AWS|ThirdParty", "AWS", true},
        {"AWS|ThirdParty", "AWSx", false},
        {"AWS|ThirdParty", "xThirdParty", false},
        {"[0-9]{12}|\\*", "*", true},
        {"^[a-zA-Z0-9-]+$", "a-9", true},
        {"^[a-zA-Z0-9-]+$", "a_9", false},
        {"arn:aws(-[\\w]+)*:iam::[0-9]{12}:role/.*", "arn:aws-us-gov:iam::123456789012:role/a/b",
         true},
        {"arn:aws(-[\\w]+)*:iam::[0-9]{12}:role/.*", "arn:aws-:iam::123456789012:role/", false},
        {"[A-Za-z0-9.@\\-_]+", "a-b", true},
        {"[A-Za-z0-9.@\\-_]+", "a\\b", false},
        {"[\\]\\[]", "]", true},
        {"[^a\\-c]", "b", true},
        {"[^a\\-c]", "-", false},
        {"\\d+\\w?\\.", "12a.", true},
        {"\\d+\\w?\\.", "12ab", false},
        {".*", "a\nb", false},
        {".*", "", true},
        {"a.c",
         "a\xc3\xa4"
         "c",
         false}, /* bytes: only in a run does '.' take other scripts */
        {"a.+c",
         "a\xc3\xa4"
         "c",
         true},
    };
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        PEN_CLEANUP(pen_pattern_destroy) struct pen_pattern *pattern = NULL;
        assert_int_equal(pen_pattern_compile(patterns[i].pattern, &pattern, NULL), 0);
        if (pen_pattern_match(pattern, patterns[i].text) != patterns[i].matches)
            fail_msg("'%s' and '%s'", patterns[i].pattern, patterns[i].text);
    }
    struct pen_pattern *pattern = NULL;
    struct pen_error err;
    assert_int_equal(pen_pattern_compile("(a", &pattern, &err), PEN_EINVAL);
    assert_int_equal(pen_pattern_compile("[a", &pattern, &err), PEN_EINVAL);
    assert_int_equal(pen_pattern_compile("(?=a)", &pattern, &err), PEN_EINVAL);
    assert_non_null(strstr(err.message, "(?=a)"));
    assert_null(pattern);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_wrong_types),
        cmocka_unit_test(test_lengths_count_characters),
        cmocka_unit_test(test_many_errors_are_counted),
        cmocka_unit_test(test_sensitive_values_are_not_shown),
        cmocka_unit_test(test_operations_are_found),
        cmocka_unit_test(test_patterns),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
