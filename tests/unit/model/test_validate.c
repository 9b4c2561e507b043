/* Every rule of a declaration's structure by name, with its faults: the error's name and what the
 * text says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>

#include "common/base/cleanup.h"
#include "common/wire/wire.h"
#include "controller/model/providers.h"
#include "controller/model/validate.h"
#include "tests/unit/model/declarations.h"

/* ' becomes ", so that JSON can be written in C. */
static json_t *json_of(const char *text)
{
    char *copy = strdup(text);
    for (char *at = copy; *at != '\0'; at++) {
        if (*at == '\'')
            *at = '"';
    }
    json_error_t fault;
    json_t *json = json_loads(copy, JSON_DECODE_ANY, &fault);
    if (json == NULL)
        fail_msg("%s: %s", fault.text, copy);
    free(copy);
    return json;
}

/* Set the member at a path like "stages.1.actions.0.name"; text NULL removes it, and an index one
 * past the end appends. */
static void set_at(json_t *json, const char *path, const char *text)
{
    char word[64];
    for (;;) {
        size_t size = strcspn(path, ".");
        (void)snprintf(word, sizeof word, "%.*s", (int)size, path);
        path += size;
        if (*path == '\0')
            break;
        path++;
        json = json_is_array(json) ? json_array_get(json, (size_t)strtoul(word, NULL, 10))
                                   : json_object_get(json, word);
        assert_non_null(json);
    }
    if (!json_is_array(json)) {
        if (text == NULL)
            assert_int_equal(json_object_del(json, word), 0);
        else
            assert_int_equal(json_object_set_new(json, word, json_of(text)), 0);
        return;
    }
    size_t index = (size_t)strtoul(word, NULL, 10);
    if (text == NULL)
        assert_int_equal(json_array_remove(json, index), 0);
    else if (index == json_array_size(json))
        assert_int_equal(json_array_append_new(json, json_of(text)), 0);
    else
        assert_int_equal(json_array_set_new(json, index, json_of(text)), 0);
}

static Pen__PipelineDeclaration *declaration_of(json_t *json)
{
    struct pen_error err;
    ProtobufCMessage *message = NULL;
    if (pen_wire_from_json(&pen__pipeline_declaration__descriptor, json, "pipeline", &message,
                           &err) < 0)
        fail_msg("%s", err.message);
    return (Pen__PipelineDeclaration *)message;
}

struct change {
    const char *path;
    const char *value;
};

struct fault {
    const char *api_name; /* NULL: no fault */
    const char *text;     /* part of the message */
    struct change changes[4];
};

/* A heading: the rule that the faults below it break. */
static const char rule_heading[] = "rule";
#define RULE_NAMED(text)                                                                           \
    {                                                                                              \
        rule_heading, text,                                                                        \
        {                                                                                          \
            {                                                                                      \
                NULL, NULL                                                                         \
            }                                                                                      \
        }                                                                                          \
    }

#define STRUCTURE "InvalidStructureException"
#define STAGE     "InvalidStageDeclarationException"
#define ACTION    "InvalidActionDeclarationException"
#define VALUE     "ValidationException"

static const struct fault faults[] = {
    {NULL, NULL, {{"version", "7"}}},
    RULE_NAMED("names: characters and length"),
    {VALUE, "pipeline name 'a b'", {{"name", "'a b'"}}},
    {VALUE, "pipeline name ''", {{"name", NULL}}},
    {VALUE, "stage name 'a/b'", {{"stages.1.name", "'a/b'"}}},
    {NULL, NULL, {{"stages.1.name", "'a.b@c_d-1'"}}},
    {VALUE, "action name", {{"stages.1.actions.0.name", "'a b'"}}},
    {VALUE, "artifact name 'a.b'", {{"stages.0.actions.0.outputArtifacts.0.name", "'a.b'"}}},
    {VALUE, "namespace name 'a.b'", {{"stages.1.actions.0.namespace", "'a.b'"}}},
    {VALUE, "variable name 'a.b'", {{"variables.0.name", "'a.b'"}}},
    {NULL, NULL, {{"name", "'" HUNDRED "'"}}},
    {VALUE, "must have 1 to 100 characters of [A-Za-z0-9.@_-]", {{"name", "'" HUNDRED "x'"}}},
    {VALUE, "The stage name '" HUNDRED "x'", {{"stages.1.name", "'" HUNDRED "x'"}}},
    {VALUE, "The action name", {{"stages.1.actions.1.name", "'" HUNDRED "x'"}}},
    {VALUE, "The artifact name", {{"stages.0.actions.0.outputArtifacts.0.name", "'" HUNDRED "x'"}}},
    {VALUE, "The namespace name", {{"stages.2.actions.0.namespace", "'" HUNDRED "x'"}}},
    RULE_NAMED("2 to 50 stages"),
    {STRUCTURE,
     "Pipeline has only 1 stage(s). There should be a minimum of 2 stages in a pipeline",
     {{"stages.2", NULL}, {"stages.1", NULL}}},
    {STRUCTURE, "only 0 stage(s)", {{"stages", "[]"}}},
    RULE_NAMED("the first stage has source actions, and only them"),
    {STRUCTURE,
     "Pipeline should start with a stage that only contains source actions",
     {{"stages.0", NULL}}},
    {STRUCTURE,
     "Pipeline should start with a stage that only contains source actions",
     {{"stages.0.actions.1",
       "{'name':'M','actionTypeId':{'category':'Approval','owner':'AWS','provider':'Manual',"
       "'version':'1'}}"}}},
    RULE_NAMED("source actions are in the first stage alone"),
    {STRUCTURE,
     "Source action 'Again' is in stage 'Build'",
     {{"stages.1.actions.2", "{'name':'Again','actionTypeId':{'category':'Source','owner':'AWS',"
                             "'provider':'CodeCommit','version':'1'}}"}}},
    RULE_NAMED("stage names are unique; a stage has actions"),
    {STAGE, "Stage name 'Build' occurs more than once", {{"stages.2.name", "'Build'"}}},
    {STAGE, "Stage 'Approve' has no actions", {{"stages.2.actions", "[]"}}},
    RULE_NAMED("blockers are reserved"),
    {"InvalidBlockerDeclarationException",
     "Stage 'Build' has blockers",
     {{"stages.1.blockers", "[{'name':'b','type':'Schedule'}]"}}},
    {NULL, NULL, {{"stages.1.blockers", "[]"}}},
    RULE_NAMED("action names are unique in their stage"),
    {ACTION,
     "Action name 'Compile' occurs more than once in stage 'Build'",
     {{"stages.1.actions.1.name", "'Compile'"}}},
    {NULL, NULL, {{"stages.2.actions.0.name", "'Compile'"}}},
    RULE_NAMED("runOrder is 1 to 999"),
    {VALUE, "runOrder is 0 and must be 1 to 999", {{"stages.1.actions.0.runOrder", "0"}}},
    {VALUE, "runOrder is 1000", {{"stages.1.actions.1.runOrder", "1000"}}},
    {NULL, NULL, {{"stages.1.actions.1.runOrder", "999"}}},
    RULE_NAMED("the action type is one that there is"),
    {ACTION,
     "ActionType (Category: 'Deploy', Provider: 'ECS', Owner: 'AWS', Version: '1') in action 'Ask' "
     "is not available in region 'US_EAST_1'",
     {{"stages.2.actions.0.actionTypeId",
       "{'category':'Deploy','owner':'AWS','provider':'ECS','version':'1'}"}}},
    {ACTION,
     "Version: '2') in action 'Ask' is not available",
     {{"stages.2.actions.0.actionTypeId.version", "'2'"}}},
    {ACTION, "in action 'Ask' is not available", {{"stages.2.actions.0.actionTypeId", NULL}}},
    RULE_NAMED("artifact counts of the provider"),
    {ACTION,
     "Action Check declares 0 input artifacts which is less than the minimum count (1)",
     {{"stages.1.actions.1.inputArtifacts", "[]"}}},
    {ACTION,
     "Action Code declares 0 output artifacts which is less than the minimum count (1)",
     {{"stages.0.actions.0.outputArtifacts", "[]"}}},
    {ACTION,
     "Action Ask declares 1 input artifacts which is more than the maximum count (0)",
     {{"stages.2.actions.0.inputArtifacts", "[{'name':'src'}]"}}},
    RULE_NAMED("required configuration is there; unknown configuration is refused"),
    {ACTION,
     "Action configuration for action 'Code' is missing required configuration 'BranchName'",
     {{"stages.0.actions.0.configuration.BranchName", NULL}}},
    {ACTION,
     "Action configuration for action 'Compile' contains unknown configuration 'Foo'",
     {{"stages.1.actions.0.configuration.Foo", "'x'"}}},
    {ACTION,
     "contains unknown configuration 'PollIntervalSeconds'",
     {{"stages.0.actions.0.configuration.PollIntervalSeconds", "'5'"}}},
    {ACTION,
     "Action configuration for action 'Check' has 'twice' for 'Class'",
     {{"stages.1.actions.1.configuration.Class", "'twice'"}}},
    {ACTION,
     "has 'zsh' for 'Shell': this value is not supported (a value that is: sh)",
     {{"stages.1.actions.0.configuration.Shell", "'zsh'"}}},
    {ACTION,
     "has 'true' for 'Pipefail', which needs 'bash' for 'Shell'",
     {{"stages.1.actions.0.configuration.Pipefail", "'true'"}}},
    {ACTION,
     "'#{variables.TARGET}' for 'Class'",
     {{"stages.1.actions.1.configuration.Class", "'#{variables.TARGET}'"}}},
    {ACTION,
     "'CODEBUILD_CLONE_REF' for 'OutputArtifactFormat'",
     {{"stages.0.actions.0.configuration.OutputArtifactFormat", "'CODEBUILD_CLONE_REF'"}}},
    {ACTION,
     "'RunsOn': label expression: 'os='",
     {{"stages.1.actions.0.configuration.RunsOn", "'os='"}}},
    {NULL, NULL, {{"stages.1.actions.0.configuration.RunsOn", "'os=#{variables.TARGET}'"}}},
    RULE_NAMED("configuration keys of 1 to 50 characters, values of 1 to 1000"),
    {VALUE,
     "configuration key '01234567890123456789012345678901234567890123456789x'",
     {{"stages.1.actions.0.configuration.01234567890123456789012345678901234567890123456789x",
       "'x'"}}},
    {VALUE,
     "configuration 'RunsOn' has 0 characters",
     {{"stages.1.actions.0.configuration.RunsOn", "''"}}},
    {VALUE, "key '' must have 1 to 50", {{"stages.1.actions.0.configuration", "{'':'x'}"}}},
    {NULL, NULL, {{"stages.2.actions.0.configuration.CustomData", "'" THOUSAND "'"}}},
    {VALUE,
     "'CustomData' has 1001 characters and must have 1 to 1000",
     {{"stages.2.actions.0.configuration.CustomData", "'" THOUSAND "x'"}}},
    RULE_NAMED("Commands actions have commands"),
    {ACTION,
     "Action Compile must have a non-empty commands field",
     {{"stages.1.actions.0.commands", "[]"}}},
    RULE_NAMED("members that only manual approvals or only Commands actions take"),
    {ACTION,
     "Action Compile has timeoutInMinutes, which only manual approvals take",
     {{"stages.1.actions.0.timeoutInMinutes", "60"}}},
    {VALUE, "timeoutInMinutes is 4", {{"stages.2.actions.0.timeoutInMinutes", "4"}}},
    {VALUE, "timeoutInMinutes is 86401", {{"stages.2.actions.0.timeoutInMinutes", "86401"}}},
    {ACTION, "Action Ask has commands", {{"stages.2.actions.0.commands", "['x']"}}},
    {ACTION, "Action Ask has outputVariables", {{"stages.2.actions.0.outputVariables", "['x']"}}},
    {ACTION,
     "Action Ask has environmentVariables",
     {{"stages.2.actions.0.environmentVariables", "[{'name':'x','value':'y'}]"}}},
    {ACTION,
     "Action Code has files of an output artifact",
     {{"stages.0.actions.0.outputArtifacts.0.files", "['x']"}}},
    {ACTION,
     "environment variable 'x' more than once",
     {{"stages.1.actions.0.environmentVariables",
       "[{'name':'x','value':'y'},{'name':'x','value':'z'}]"}}},
    {ACTION,
     "the environment variable '1A' is not a name",
     {{"stages.1.actions.0.environmentVariables", "[{'name':'1A','value':'y'}]"}}},
    {ACTION,
     "the environment variable 'A=B' is not a name",
     {{"stages.1.actions.0.environmentVariables", "[{'name':'A=B','value':'y'}]"}}},
    {ACTION,
     "'PENSTOCK_FENCE' begins with PENSTOCK_",
     {{"stages.1.actions.0.environmentVariables", "[{'name':'PENSTOCK_FENCE','value':'y'}]"}}},
    {ACTION,
     "has 'xyz' for 'ConnectionArn': this is no ARN",
     {{"stages.0.actions.0", CONNECTION},
      {"stages.0.actions.0.configuration.ConnectionArn", "'xyz'"}}},
    {ACTION,
     "output variable 'a-b' is no name of a shell's variable",
     {{"stages.1.actions.0.outputVariables", "['a','a-b']"}}},
    {ACTION,
     "output variable 'a' more than once",
     {{"stages.1.actions.0.outputVariables", "['a','b','a']"}}},
    RULE_NAMED("every input is made earlier"),
    {ACTION,
     "Input Artifact Bundle nope in action Check is not declared as Output Artifact Bundle in any "
     "of the preceding actions",
     {{"stages.1.actions.1.inputArtifacts.0.name", "'nope'"}}},
    {ACTION,
     "Input Artifact Bundle bin in action Check is not declared",
     {{"stages.1.actions.1.runOrder", "1"}}},
    {ACTION,
     "Input Artifact Bundle bin in action Compile is not declared",
     {{"stages.1.actions.0.inputArtifacts.0.name", "'bin'"}}},
    {ACTION,
     "Input Artifact Bundle bin occurs more than once in action Check",
     {{"stages.1.actions.1.inputArtifacts.1", "{'name':'bin'}"}}},
    RULE_NAMED("names of output artifacts are unique"),
    {ACTION,
     "Output Artifact Bundle src in action Compile is declared by action Code, too",
     {{"stages.1.actions.0.outputArtifacts.0.name", "'src'"}}},
    RULE_NAMED("artifactStore or artifactStores"),
    {STRUCTURE, "neither artifactStore nor artifactStores", {{"artifactStore", NULL}}},
    {STRUCTURE,
     "both artifactStore and artifactStores",
     {{"artifactStores", "{'us-east-1':{'type':'S3','location':'bucket'}}"}}},
    {VALUE,
     "The region EU_X specified in 'pipeline.artifactStores' is not a valid AWS Region.",
     {{"artifactStore", NULL}, {"artifactStores", "{'EU_X':{'type':'S3','location':'b'}}"}}},
    RULE_NAMED("artifactStores has the pipeline's own region, and those of all actions"),
    {STRUCTURE,
     "Pipeline has no entry in artifactStores for its own region us-east-1",
     {{"artifactStore", NULL}, {"artifactStores", "{'eu-west-1':{'type':'S3','location':'b'}}"}}},
    {NULL,
     NULL,
     {{"artifactStore", NULL},
      {"artifactStores", TWO_STORES},
      {"stages.1.actions.1.region", "'eu-west-1'"}}},
    {STRUCTURE,
     "Action 'Check' runs in region eu-west-1, which has no entry in artifactStores",
     {{"artifactStore", NULL},
      {"artifactStores", "{'us-east-1':{'type':'S3','location':'b'}}"},
      {"stages.1.actions.1.region", "'eu-west-1'"}}},
    {VALUE, "The region X specified in action 'Check'", {{"stages.1.actions.1.region", "'X'"}}},
    {STRUCTURE,
     "Action 'Check' runs in another region (eu-west-1) than the pipeline (us-east-1): give "
     "artifactStores with both regions in place of artifactStore",
     {{"stages.1.actions.1.region", "'eu-west-1'"}}},
    {NULL, NULL, {{"stages.1.actions.1.region", "'us-east-1'"}}},
    RULE_NAMED("source and custom actions are in the pipeline's own region"),
    {STRUCTURE,
     "Source action 'Code' cannot be in another region (eu-west-1) than the pipeline (us-east-1)",
     {{"artifactStore", NULL},
      {"artifactStores", TWO_STORES},
      {"stages.0.actions.0.region", "'eu-west-1'"}}},
    {NULL, NULL, {{"stages.0.actions.0.region", "'us-east-1'"}}},
    {STRUCTURE,
     "Action 'Mill' is of a custom type, which cannot be in another region (eu-west-1) than the "
     "pipeline (us-east-1)",
     {{"artifactStore", NULL},
      {"artifactStores", TWO_STORES},
      {"stages.2.actions.1", "{'name':'Mill'," MILL ",'region':'eu-west-1'}"}}},
    {NULL, NULL, {{"stages.2.actions.1", "{'name':'Mill'," MILL ",'region':'us-east-1'}"}}},
    {ACTION,
     "Owner: 'ThirdParty', Version: '1') in action 'Ask' is not available",
     {{"stages.2.actions.0.actionTypeId.owner", "'ThirdParty'"}}},
    RULE_NAMED("what needs type V2"),
    {STRUCTURE, "Pipeline of type V1 has variables", {{"pipelineType", "'V1'"}}},
    {STRUCTURE,
     "Pipeline of type V1 has executionMode QUEUED",
     {{"pipelineType", "'V1'"}, {"executionMode", "'QUEUED'"}}},
    {STRUCTURE,
     "Pipeline of type V1 has executionMode PARALLEL",
     {{"pipelineType", "'V1'"}, {"executionMode", "'PARALLEL'"}, {"variables", "[]"}}},
    {STRUCTURE,
     "Pipeline of type V1 has triggers",
     {{"pipelineType", "'V1'"},
      {"variables", "[]"},
      {"stages.0.actions.0", CONNECTION},
      {"triggers", "[{'providerType':'CodeStarSourceConnection','gitConfiguration':"
                   "{'sourceActionName':'Code'}}]"}}},
    {STRUCTURE,
     "Pipeline of type V1 has ",
     {{"pipelineType", "'V1'"},
      {"variables", "[]"},
      {"stages.1.onFailure", "{'result':'ROLLBACK'}"}}},
    RULE_NAMED("executionMode and pipelineType"),
    {VALUE, "executionMode 'x' is none of", {{"executionMode", "'x'"}}},
    {VALUE, "pipelineType 'V3'", {{"pipelineType", "'V3'"}}},
    {NULL, NULL, {{"pipelineType", "'V2'"}}},
    RULE_NAMED("conditions and their rules"),
    {STAGE,
     "beforeEntry has 0 conditions and must have exactly 1",
     {{"stages.1.beforeEntry", "{'conditions':[]}"}}},
    {STAGE,
     "beforeEntry has the result 'ROLLBACK' and takes only FAIL or SKIP",
     {{"stages.1.beforeEntry", "{'conditions':[{'result':'ROLLBACK','rules':[" RULE "]}]}"}}},
    {STAGE,
     "onSuccess has the result 'SKIP' and takes only FAIL or ROLLBACK",
     {{"stages.1.onSuccess", "{'conditions':[{'result':'SKIP','rules':[" RULE "]}]}"}}},
    {STAGE,
     "onFailure has the result 'FAIL' and takes only ROLLBACK or RETRY",
     {{"stages.1.onFailure", "{'result':'FAIL'}"}}},
    {STAGE,
     "condition of beforeEntry has 0 rules and must have 1 to 5",
     {{"stages.1.beforeEntry", "{'conditions':[{'result':'FAIL','rules':[]}]}"}}},
    {STAGE,
     "rule name 'r' occurs more than once",
     {{"stages.1.beforeEntry", "{'conditions':[{'result':'FAIL','rules':[" RULE "," RULE "]}]}"}}},
    {STAGE,
     "retryConfiguration without the result RETRY",
     {{"stages.1.onFailure",
       "{'result':'ROLLBACK','retryConfiguration':{'retryMode':'ALL_ACTIONS'}}"}}},
    RULE_NAMED("ROLLBACK is not for PARALLEL"),
    {STRUCTURE,
     "Stage 'Build' has the result ROLLBACK, which executionMode PARALLEL does not allow",
     {{"executionMode", "'PARALLEL'"}, {"stages.1.onFailure", "{'result':'ROLLBACK'}"}}},
    {STAGE, "the source stage does not allow", {{"stages.0.onFailure", "{'result':'ROLLBACK'}"}}},
    RULE_NAMED("variables and namespaces"),
    {STRUCTURE,
     "Pipeline variable 'TARGET' is declared more than once",
     {{"variables.1", "{'name':'TARGET'}"}}},
    {ACTION,
     "Namespaces must be unique across the pipeline definition. The following occur more than once "
     "in the pipeline. StageName=[Build], ActionName=[Check], Namespace=[B]",
     {{"stages.1.actions.1.namespace", "'B'"}}},
    {ACTION,
     "Namespace 'variables' of action 'Check' in stage 'Build' is reserved",
     {{"stages.1.actions.1.namespace", "'variables'"}}},
    {ACTION,
     "Namespace 'bin' of action 'Check' in stage 'Build' is also the name of an artifact",
     {{"stages.1.actions.1.namespace", "'bin'"}}},
    {ACTION,
     "Action 'Compile' in stage 'Build': a command refers to '#{Nope.x}', but no action has the "
     "namespace 'Nope'",
     {{"stages.1.actions.0.commands.0", "'#{Nope.x}'"}}},
    {ACTION,
     "action 'Compile' in stage 'Build', which has this namespace, does not run before it",
     {{"stages.1.actions.0.commands.0", "'#{B.SUM}'"}}},
    {ACTION,
     "variables are not resolved in source actions",
     {{"stages.0.actions.0.configuration.BranchName", "'#{B.SUM}'"}}},
    {ACTION,
     "declares no variable 'OTHER'",
     {{"stages.1.actions.0.commands.0", "'#{variables.OTHER}'"}}},
    {ACTION,
     "not resolved in source actions",
     {{"stages.0.actions.0.configuration.BranchName", "'#{variables.TARGET}'"}}},
    {ACTION,
     "configuration 'CustomData' '#{B.}' is not a variable reference",
     {{"stages.2.actions.0.configuration.CustomData", "'x #{B.} y'"}}},
    {ACTION,
     "the only key of this namespace is PipelineExecutionId",
     {{"stages.1.actions.0.commands.0", "'#{codepipeline.Id}'"}}},
    {ACTION,
     "environment variable 'E' refers to '#{Nope.x}'",
     {{"stages.1.actions.0.environmentVariables", "[{'name':'E','value':'#{Nope.x}'}]"}}},
    {ACTION,
     "Rule 'r' in stage 'Build': configuration 'Value' refers to '#{B.SUM}'",
     {{"stages.1.beforeEntry",
       "{'conditions':[{'result':'FAIL','rules':[{'name':'r','configuration':"
       "{'Value':'#{B.SUM}'}}]}]}"}}},
    RULE_NAMED("a trigger names a connection source"),
    {STRUCTURE,
     "A trigger names the source action 'Code', which is no CodeStarSourceConnection action",
     {{"triggers", "[{'providerType':'CodeStarSourceConnection','gitConfiguration':"
                   "{'sourceActionName':'Code'}}]"}}},
    RULE_NAMED("filters of triggers"),
    {VALUE, "providerType 'X'", {{"triggers", "[{'providerType':'X'}]"}}},
    {STRUCTURE,
     "a push filter takes tags, branches, or branches with filePaths",
     {{"stages.0.actions.0", CONNECTION},
      {"triggers", "[{'providerType':'CodeStarSourceConnection','gitConfiguration':"
                   "{'sourceActionName':'Code','push':[{'filePaths':{'includes':['a']}}]}}]"}}},
    {STRUCTURE,
     "a push filter takes",
     {{"stages.0.actions.0", CONNECTION},
      {"triggers", "[{'providerType':'CodeStarSourceConnection','gitConfiguration':"
                   "{'sourceActionName':'Code','push':[{'tags':{'includes':['a']},"
                   "'branches':{'includes':['a']}}]}}]"}}},
    {STRUCTURE,
     "branches: pattern '[' has a '[' without ']'",
     {{"stages.0.actions.0", CONNECTION},
      {"triggers", "[{'providerType':'CodeStarSourceConnection','gitConfiguration':"
                   "{'sourceActionName':'Code','push':[{'branches':{'includes':['[']}}]}}]"}}},
    {STRUCTURE,
     "the same filter more than once",
     {{"stages.0.actions.0", CONNECTION},
      {"triggers", "[{'providerType':'CodeStarSourceConnection','gitConfiguration':"
                   "{'sourceActionName':'Code','push':[{'branches':{'includes':['a']}},"
                   "{'branches':{'includes':['a']}}]}}]"}}},
    {VALUE,
     "event 'MERGED' is none of OPEN, UPDATED, CLOSED",
     {{"stages.0.actions.0", CONNECTION},
      {"triggers", "[{'providerType':'CodeStarSourceConnection','gitConfiguration':"
                   "{'sourceActionName':'Code','pullRequest':[{'events':['MERGED'],"
                   "'branches':{'includes':['a']}}]}}]"}}},
    {STRUCTURE,
     "Source action 'Code' has more than one trigger",
     {{"stages.0.actions.0", CONNECTION},
      {"triggers",
       "[{'providerType':'CodeStarSourceConnection','gitConfiguration':{'sourceActionName':'Code',"
       "'push':[{'branches':{'includes':['a']}}]}},"
       "{'providerType':'CodeStarSourceConnection','gitConfiguration':{'sourceActionName':'Code',"
       "'push':[{'branches':{'includes':['b']}}]}}]"}}},
    {NULL,
     NULL,
     {{"stages.0.actions.0", CONNECTION},
      {"triggers", "[{'providerType':'CodeStarSourceConnection','gitConfiguration':"
                   "{'sourceActionName':'Code','push':[{'branches':{'includes':['a']}}],"
                   "'pullRequest':[{'branches':{'includes':['a']}}]}}]"}}},
    {NULL,
     NULL,
     {{"stages.0.actions.0", CONNECTION},
      {"triggers", "[{'providerType':'CodeStarSourceConnection','gitConfiguration':"
                   "{'sourceActionName':'Code','push':[{'branches':{'includes':['a']}}]}}]"}}},
    {NULL, NULL, {{"stages.0.actions.0", CONNECTION}}},
    {NULL, NULL, {{"executionMode", "'QUEUED'"}}},
    {NULL, NULL, {{"executionMode", "'PARALLEL'"}}},
    {NULL, NULL, {{"stages.1.onFailure", "{'result':'RETRY'}"}}},
    {NULL, NULL, {{"stages.1.onFailure", "{'result':'ROLLBACK'}"}}},
    {STAGE,
     "Stage 'Build': rule 'r' of onFailure: its configuration lacks 'Variable'",
     {{"stages.1.onFailure",
       "{'conditions':[{'result':'RETRY','rules':[{'name':'r','ruleTypeId':{'category':'Rule',"
       "'provider':'VariableCheck'}}]}]}"}}},
    RULE_NAMED("right, but not done by this release"),
    {ACTION,
     "Action 'Compile' in stage 'Build': this release of Penstock does not support "
     "environmentVariables of type SECRETS_MANAGER",
     {{"stages.1.actions.0.environmentVariables",
       "[{'name':'E','value':'x','type':'SECRETS_MANAGER'}]"}}},
    {ACTION,
     "does not support NotificationArn",
     {{"stages.2.actions.0.configuration.NotificationArn", "'arn:aws:sns:x'"}}},
};

/* The one custom type that there is. */
static Pen__ActionType *mill(void)
{
    json_t *json = json_of("{'id':{'category':'Build','owner':'Custom','provider':'Mill',"
                           "'version':'1'},'inputArtifactDetails':{'minimumCount':0,"
                           "'maximumCount':1},'outputArtifactDetails':{'minimumCount':0,"
                           "'maximumCount':1}}");
    struct pen_error err;
    ProtobufCMessage *message = NULL;
    if (pen_wire_from_json(&pen__action_type__descriptor, json, "type", &message, &err) < 0)
        fail_msg("%s", err.message);
    json_decref(json);
    return (Pen__ActionType *)message;
}

static void test_faults(void **state)
{
    (void)state;
    PEN_CLEANUP(pen_message_destroy) Pen__ActionType *type = mill();
    const Pen__ActionType *list[] = {type};
    const struct pen_custom_types types = {.region = "us-east-1", .types = list, .count = 1};
    const char *rule = "a pipeline that is right";
    size_t refused = 1;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        const struct fault *fault = &faults[i];
        if (fault->api_name == rule_heading) {
            if (refused == 0)
                fail_msg("no fault breaks the rule '%s'", rule);
            rule = fault->text;
            refused = 0;
            print_message("    %s\n", rule);
            continue;
        }
        refused += fault->api_name != NULL;
        json_t *json = json_of(base_text);
        for (size_t j = 0; j < 4 && fault->changes[j].path != NULL; j++)
            set_at(json, fault->changes[j].path, fault->changes[j].value);
        PEN_CLEANUP(pen_message_destroy)
        Pen__PipelineDeclaration *declaration = declaration_of(json);
        json_decref(json);
        struct pen_error err = {0};
        int code = pen_model_validate_with(declaration, &types, NULL, &err);
        if (fault->api_name == NULL) {
            if (code != 0)
                fail_msg("%s, case %zu (%s): %s", rule, i, fault->changes[0].path, err.message);
            continue;
        }
        if (code == 0)
            fail_msg("%s, case %zu (%s) was accepted", rule, i, fault->changes[0].path);
        if (err.api_name == NULL || strcmp(err.api_name, fault->api_name) != 0)
            fail_msg("%s, case %zu (%s): %s: %s", rule, i, fault->changes[0].path,
                     err.api_name == NULL ? "no name" : err.api_name, err.message);
        if (strstr(err.message, fault->text) == NULL)
            fail_msg("%s, case %zu: '%s' is not in '%s'", rule, i, fault->text, err.message);
    }
    assert_true(refused > 0);
}

/* Who knows no region of its own judges none. */
static void test_without_region(void **state)
{
    (void)state;
    json_t *json = json_of(base_text);
    set_at(json, "stages.1.actions.1.region", "'eu-west-1'");
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineDeclaration *declaration = declaration_of(json);
    json_decref(json);
    assert_int_equal(pen_model_validate(declaration, NULL), 0);
}

/* Counts at their limits and one above. */
static json_t *with_stages(size_t count)
{
    json_t *json = json_of(base_text);
    json_t *stages = json_object_get(json, "stages");
    for (size_t i = json_array_size(stages); i < count; i++) {
        json_t *stage = json_deep_copy(json_array_get(stages, 2));
        char name[16];
        (void)snprintf(name, sizeof name, "S%zu", i);
        (void)json_object_set_new(stage, "name", json_string(name));
        (void)json_array_append_new(stages, stage);
    }
    return json;
}

static void add_actions(json_t *json, size_t stage_index, size_t count)
{
    json_t *stages = json_object_get(json, "stages");
    json_t *actions = json_object_get(json_array_get(stages, stage_index), "actions");
    while (json_array_size(actions) < count) {
        json_t *action = json_deep_copy(json_array_get(actions, 0));
        char name[16];
        (void)snprintf(name, sizeof name, "A%zu", json_array_size(actions));
        (void)json_object_set_new(action, "name", json_string(name));
        (void)json_array_append_new(actions, action);
    }
}

static int validate_json(json_t *json, struct pen_error *err)
{
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineDeclaration *declaration = declaration_of(json);
    json_decref(json);
    return pen_model_validate(declaration, err);
}

static void test_counts(void **state)
{
    (void)state;
    struct pen_error err;
    assert_int_equal(validate_json(with_stages(PEN_STAGES_MAX), &err), 0);
    assert_int_equal(validate_json(with_stages(PEN_STAGES_MAX + 1), &err), PEN_EINVAL);
    assert_string_equal(err.api_name, STRUCTURE);
    json_t *json = with_stages(3);
    add_actions(json, 2, PEN_ACTIONS_PER_STAGE_MAX);
    assert_int_equal(validate_json(json, &err), 0);
    json = with_stages(3);
    add_actions(json, 2, PEN_ACTIONS_PER_STAGE_MAX + 1);
    assert_int_equal(validate_json(json, &err), PEN_EINVAL);
    assert_string_equal(err.api_name, STAGE);
    json = with_stages(20);
    for (size_t i = 2; i < 20; i++)
        add_actions(json, i, 60);
    assert_int_equal(validate_json(json, &err), PEN_EINVAL);
    assert_string_equal(err.api_name, STRUCTURE);
    assert_non_null(strstr(err.message, "1083 actions"));
}

static void test_defaults(void **state)
{
    (void)state;
    json_t *json = json_of(base_text);
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineDeclaration *declaration = declaration_of(json);
    assert_int_equal(pen_model_fill_defaults(declaration, NULL), 0);
    assert_string_equal(declaration->execution_mode, "SUPERSEDED");
    assert_string_equal(declaration->pipeline_type, "V2");
    assert_int_equal(declaration->version, 1);
    assert_int_equal(declaration->stages[0]->actions[0]->run_order, 1);
    assert_int_equal(declaration->stages[1]->actions[1]->run_order, 2);
    assert_int_equal(pen_model_validate(declaration, NULL), 0);
    pen_message_destroy(&declaration);

    set_at(json, "variables", NULL);
    set_at(json, "stages.1", NULL);
    set_at(json, "stages.1.actions.0.configuration", NULL);
    set_at(json, "version", "4");
    declaration = declaration_of(json);
    json_decref(json);
    assert_int_equal(pen_model_fill_defaults(declaration, NULL), 0);
    assert_string_equal(declaration->pipeline_type, "V1");
    assert_int_equal(declaration->version, 4);
    assert_null(pen_model_v2_member(declaration));
}

static void test_classes(void **state)
{
    (void)state;
    json_t *json = json_of(base_text);
    PEN_CLEANUP(pen_message_destroy) Pen__PipelineDeclaration *declaration = declaration_of(json);
    json_decref(json);
    Pen__ActionDeclaration *compile = declaration->stages[1]->actions[0];
    assert_int_equal(pen_action_class(compile), PEN__ACTION_CLASS__REPEATABLE);
    assert_int_equal(pen_action_class(declaration->stages[1]->actions[1]), PEN__ACTION_CLASS__ONCE);
    assert_string_equal(pen_action_configuration(compile, "RunsOn"), "os=linux");
    assert_null(pen_action_configuration(compile, "Class"));
    for (size_t i = 0; pen_provider_at(i) != NULL; i++) {
        const struct pen_provider *provider = pen_provider_at(i);
        for (size_t j = 0; j < provider->keys_count; j++)
            assert_non_null(provider->keys[j].description);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults),  cmocka_unit_test(test_without_region),
        cmocka_unit_test(test_counts),  cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
