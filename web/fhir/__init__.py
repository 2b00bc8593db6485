"""The FHIR R4 API on the chart: one file per interaction (http://hl7.org/fhir/R4/http.html).

metadata, read, vread, history, search          what only reads
create, update, patch, delete, transaction      what writes: through the intake, as a message
door, writing, verdict                          the way in, the message, and what became of it
parameters, resource, bundle, answer            what a question and an answer are made of
"""
