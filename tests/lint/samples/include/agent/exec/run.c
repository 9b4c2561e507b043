#include "common/io/file.h"
#include "neighbour.h"
