# FindHttpParser: llhttp, or where the system has none, its predecessor http-parser.
#
#     HttpParser_FOUND          HttpParser::HttpParser, to link with, defines RUNNEL_LLHTTP to 1 or 0
#     HttpParser_PKG            its pkg-config name, or for http-parser, which has none,
#     HttpParser_LIBS           what the linker is told
#
# Each has cache variables of its own: a second run must not take the one's for the other's.
find_path(HttpParser_LLHTTP_INCLUDE_DIR NAMES llhttp.h)
find_library(HttpParser_LLHTTP_LIBRARY NAMES llhttp)
if(HttpParser_LLHTTP_INCLUDE_DIR AND HttpParser_LLHTTP_LIBRARY)
    set(HttpParser_LLHTTP 1)
    set(HttpParser_PKG libllhttp)
    set(HttpParser_LIBS "")
    set(HttpParser_INCLUDE_DIR ${HttpParser_LLHTTP_INCLUDE_DIR})
    set(HttpParser_LIBRARY ${HttpParser_LLHTTP_LIBRARY})
else()
    set(HttpParser_LLHTTP 0)
    set(HttpParser_PKG "")
    set(HttpParser_LIBS -lhttp_parser)
    find_path(HttpParser_INCLUDE_DIR NAMES http_parser.h)
    find_library(HttpParser_LIBRARY NAMES http_parser)
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(HttpParser DEFAULT_MSG HttpParser_LIBRARY HttpParser_INCLUDE_DIR)
mark_as_advanced(HttpParser_LIBRARY HttpParser_INCLUDE_DIR HttpParser_LLHTTP_LIBRARY HttpParser_LLHTTP_INCLUDE_DIR)
if(HttpParser_FOUND AND NOT TARGET HttpParser::HttpParser)
    add_library(HttpParser::HttpParser UNKNOWN IMPORTED)
    set_target_properties(HttpParser::HttpParser PROPERTIES
        IMPORTED_LOCATION "${HttpParser_LIBRARY}"
        INTERFACE_INCLUDE_DIRECTORIES "${HttpParser_INCLUDE_DIR}"
        INTERFACE_COMPILE_DEFINITIONS "RUNNEL_LLHTTP=${HttpParser_LLHTTP}")
endif()
