/* tests/unit/model/declarations.h - a pipeline without a fault, and pieces to put faults into it */
#ifndef PEN_TESTS_UNIT_MODEL_DECLARATIONS_H
#define PEN_TESTS_UNIT_MODEL_DECLARATIONS_H

/* A pipeline that is right: ' stands for ". */
static const char base_text[] =
    "{'name':'web','roleArn':'arn:aws:iam::000000000000:role/r',"
    "'artifactStore':{'type':'S3','location':'bucket'},"
    "'variables':[{'name':'TARGET','defaultValue':'x'}],"
    "'stages':["
    "{'name':'Source','actions':[{'name':'Code','namespace':'Src',"
    "  'actionTypeId':{'category':'Source','owner':'AWS','provider':'CodeCommit','version':'1'},"
    "  'configuration':{'RepositoryName':'web','BranchName':'main'},"
    "  'outputArtifacts':[{'name':'src'}]}]},"
    "{'name':'Build','actions':["
    " {'name':'Compile','runOrder':1,'namespace':'B',"
    "  'actionTypeId':{'category':'Compute','owner':'AWS','provider':'Commands','version':'1'},"
    "  'commands':['make V=#{variables.TARGET} REV=#{Src.CommitId}'],"
    "  'outputVariables':['SUM'],"
    "  'configuration':{'RunsOn':'os=linux'},"
    "  'inputArtifacts':[{'name':'src'}],'outputArtifacts':[{'name':'bin','files':['**']}]},"
    " {'name':'Check','runOrder':2,"
    "  'actionTypeId':{'category':'Compute','owner':'AWS','provider':'Commands','version':'1'},"
    "  'commands':['check #{B.SUM} #{codepipeline.PipelineExecutionId}'],"
    "  'configuration':{'Class':'once'},"
    "  'inputArtifacts':[{'name':'bin'}]}]},"
    "{'name':'Approve','actions':[{'name':'Ask','timeoutInMinutes':60,"
    "  'actionTypeId':{'category':'Approval','owner':'AWS','provider':'Manual','version':'1'},"
    "  'configuration':{'CustomData':'sum #{B.SUM}'}}]}]}";

#define CONNECTION                                                                                 \
    "{'name':'Code','actionTypeId':{'category':'Source','owner':'AWS',"                            \
    "'provider':'CodeStarSourceConnection','version':'1'},"                                        \
    "'configuration':{'ConnectionArn':'arn:aws:codestar-connections:us-east-1:000000000000:"       \
    "connection/a','FullRepositoryId':'o/r','BranchName':'main'},"                                 \
    "'outputArtifacts':[{'name':'src'}],'namespace':'Src'}"
#define HUNDRED                                                                                    \
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"  \
    "123456789"
#define THOUSAND HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED
#define TWO_STORES                                                                                 \
    "{'us-east-1':{'type':'S3','location':'b'},'eu-west-1':{'type':'S3','location':'c'}}"
#define MILL "'actionTypeId':{'category':'Build','owner':'Custom','provider':'Mill','version':'1'}"
#define RULE "{'name':'r','ruleTypeId':{'category':'Rule','provider':'VariableCheck'}}"

#endif
