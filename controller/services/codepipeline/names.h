/* controller/services/codepipeline/names.h - the API's words for our numbers */
#ifndef PEN_CONTROLLER_SERVICES_CODEPIPELINE_NAMES_H
#define PEN_CONTROLLER_SERVICES_CODEPIPELINE_NAMES_H

#include "row.pb-c.h"

/* NULL for a number that has no word: then the member stays absent. */
const char *pen_execution_status_name(Pen__ExecutionStatus status);
const char *pen_stage_status_name(Pen__StageStatus status);
const char *pen_action_status_name(Pen__ActionStatus status);
const char *pen_condition_status_name(Pen__ConditionStatus status);
const char *pen_job_state_name(Pen__JobState state);
const char *pen_trigger_type_name(Pen__TriggerType type);

#endif
