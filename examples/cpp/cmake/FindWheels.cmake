# OpenVINO, openvino-tokenizers and ONNX Runtime out of the wheels of a Python: the wheels hold the
# libraries, and OpenVINO's its headers and CMake files too. Python is needed to build, not to run.
#
# Sets OpenVINO_DIR, EDGE_TX_TOKENIZERS_LIBRARY and EDGE_TX_ONNXRUNTIME_LIBRARY where they are not
# set yet and the wheel is there.
find_package(Python3 COMPONENTS Interpreter)

function(edge_tx_wheel package result)
  execute_process(
    COMMAND "${Python3_EXECUTABLE}" -c
            "import importlib.util as u; s = u.find_spec('${package}'); print(s.submodule_search_locations[0] if s else '')"
    OUTPUT_VARIABLE folder
    OUTPUT_STRIP_TRAILING_WHITESPACE)
  set(${result} "${folder}" PARENT_SCOPE)
endfunction()

edge_tx_wheel(openvino wheel)
if(wheel AND NOT OpenVINO_DIR)
  set(OpenVINO_DIR "${wheel}/cmake" CACHE PATH "OpenVINO's CMake files")
endif()

edge_tx_wheel(openvino_tokenizers wheel)
if(wheel)
  find_library(EDGE_TX_TOKENIZERS_LIBRARY openvino_tokenizers PATHS "${wheel}/lib" NO_DEFAULT_PATH)
endif()

edge_tx_wheel(onnxruntime wheel)
if(wheel AND NOT EDGE_TX_ONNXRUNTIME_LIBRARY)
  file(GLOB libraries "${wheel}/capi/libonnxruntime.so.*" "${wheel}/capi/libonnxruntime.*.dylib")
  if(libraries)
    list(GET libraries 0 library)
    set(EDGE_TX_ONNXRUNTIME_LIBRARY "${library}" CACHE FILEPATH "ONNX Runtime's library")
  endif()
endif()
