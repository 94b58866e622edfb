# add_unit_test(<name> SOURCES a.c... LIBS <svc>_core...)
# Criterion 2.4.1 (Debian 12) knows no TSan; leaks only fail the run with abort_on_error=1; its own
# .timeout can deadlock on a loaded machine, so the timeout is CTest's. Without Criterion no unit test
# is built: the images and packagers need none.
pkg_check_modules(CRITERION IMPORTED_TARGET criterion)

function(add_unit_test name)
  if(NOT CRITERION_FOUND OR SANITIZE MATCHES thread)
    return()
  endif()
  cmake_parse_arguments(T "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(test_${name} ${T_SOURCES})
  set_target_properties(test_${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  target_link_libraries(test_${name} PRIVATE project_options ${T_LIBS} PkgConfig::CRITERION)
  # argv arrays of string literals read better without casts.
  set_source_files_properties(${T_SOURCES} PROPERTIES COMPILE_OPTIONS -Wno-write-strings)
  add_test(NAME unit.${name} COMMAND test_${name} --jobs 2)
  set_tests_properties(unit.${name} PROPERTIES LABELS unit TIMEOUT 120
    ENVIRONMENT "ASAN_OPTIONS=abort_on_error=1;UBSAN_OPTIONS=print_stacktrace=1")
endfunction()
