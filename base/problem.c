#include "problem.h"

#include <stdarg.h>
#include <stdio.h>

int problem_set(struct problem *problem, int error, const char *format, ...)
{
    va_list values;

    if (problem != NULL) {
        va_start(values, format);
        vsnprintf(problem->text, sizeof(problem->text), format, values);
        va_end(values);
    }
    return error;
}
