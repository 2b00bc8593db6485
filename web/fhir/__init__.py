"""The FHIR R4 API on the chart, read only: one file per interaction (http://hl7.org/fhir/R4/http.html).

metadata, read, vread, history, search   the interactions
criteria, dates                          what a search asks for
resource, bundle, answer                 what an answer is made of
"""
